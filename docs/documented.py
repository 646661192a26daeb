#!/usr/bin/env python3
"""Does the API reference document everything? Doxygen, and what it does not look for, in its XML.

documented.py DOXYFILE REFERENCE HEADER...: makes the reference in that directory, anew. Then, each header
has a comment with @file, without which Doxygen leaves out what is in it and says nothing; and each
enumerator, function, macro, struct, field and type has a comment.
"""
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as tree

KINDS = ("function", "define", "typedef", "enum", "variable")


def described(element):
    return any("".join(text.itertext()).strip()
               for name in ("briefdescription", "detaileddescription")
               for text in element.findall(name))


def undescribed(compound):
    if not described(compound):
        yield compound.findtext("compoundname")
    for member in compound.iter("memberdef"):
        if member.get("kind") in KINDS and not described(member):
            yield "%s %s" % (member.get("kind"), member.findtext("name"))
        for value in member.findall("enumvalue"):
            if not described(value):
                yield "enumerator %s" % value.findtext("name")


def main(doxyfile, reference, *headers):
    folder = os.path.join(reference, "xml")
    files, bad, members = set(), [], 0
    shutil.rmtree(reference, ignore_errors=True)
    if subprocess.run(["doxygen", doxyfile]).returncode != 0:
        sys.exit("doxygen has warnings")
    for entry in sorted(os.listdir(folder)):
        if entry == "index.xml" or not entry.endswith(".xml"):
            continue
        for compound in tree.parse(os.path.join(folder, entry)).getroot().iter("compounddef"):
            if compound.get("kind") not in ("file", "group", "struct", "union"):
                continue
            location = compound.find("location")
            place = compound.findtext("compoundname") if location is None else location.get("file")
            if compound.get("kind") == "file":
                if not place.endswith(".h"):
                    continue
                if described(compound):
                    files.add(os.path.basename(place))
            bad += ["%s: %s has no comment" % (place, name) for name in undescribed(compound)]
            members += len(list(compound.iter("memberdef"))) + len(list(compound.iter("enumvalue")))
    bad += ["%s: no comment with @file" % name for name in
            sorted(set(map(os.path.basename, headers)) - files)]
    for line in bad:
        print(line, file=sys.stderr)
    if not members or not headers:
        sys.exit("nothing was looked at")
    print("%d headers, %d names" % (len(files), members))
    sys.exit(1 if bad else 0)


main(*sys.argv[1:])
