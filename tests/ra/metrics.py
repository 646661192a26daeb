#!/usr/bin/env python3
"""Prometheus' text format 0.0.4, read strictly.

metrics.py check FILE...        each is well formed; counters of a later one are not smaller
metrics.py value FILE SAMPLE    the value of one sample, written as in the file; 0 if it is not there
"""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(r"(%s)(?:\{(%s(?:,%s)*)\})? (\S+)" % (NAME, LABEL, LABEL))
COMMENT = re.compile(r"# (HELP|TYPE) (%s) (.+)" % NAME)
KINDS = ("counter", "gauge", "histogram")


def wrong(path, number, line, text):
    sys.exit("%s:%d: %s: %s" % (path, number, text, line))


def read(path):
    """Samples by their text, and the kind of each family."""
    octets = open(path, "rb").read()
    text = octets.decode("ascii")
    if not text.endswith("\n") or "\r" in text:
        sys.exit("%s: lines do not end with a line feed" % path)
    samples, kinds, helps, done, family = {}, {}, set(), set(), None
    for number, line in enumerate(text[:-1].split("\n"), 1):
        comment = COMMENT.fullmatch(line)
        if comment:
            what, name, rest = comment.groups()
            if name != family:
                if name in done:
                    wrong(path, number, line, "a family in two places")
                done.add(name)
                family = name
            if what == "HELP":
                if name in helps or name in kinds:
                    wrong(path, number, line, "HELP again, or too late")
                helps.add(name)
            else:
                if name in kinds or name not in helps or rest not in KINDS:
                    wrong(path, number, line, "TYPE again, before HELP, or unknown")
                kinds[name] = rest
            continue
        sample = SAMPLE.fullmatch(line)
        if not sample:
            wrong(path, number, line, "neither a comment nor a sample")
        name, labels, value = sample.groups()
        key = line.rsplit(" ", 1)[0]
        if key in samples:
            wrong(path, number, line, "twice")
        base = name
        if kinds.get(family) == "histogram":
            base = re.sub("_(bucket|sum|count)$", "", name)
        if base != family or family not in kinds:
            wrong(path, number, line, "not of the family above it")
        if (kinds[family] == "counter") != name.endswith("_total"):
            wrong(path, number, line, "a counter ends in _total, and nothing else does")
        samples[key] = float(value)
        if samples[key] < 0 or samples[key] != samples[key]:
            wrong(path, number, line, "not a number that can be")
    if set(kinds) != helps:
        sys.exit("%s: HELP without TYPE: %s" % (path, helps - set(kinds)))
    for name in kinds:
        if kinds[name] == "histogram":
            histogram(path, name, samples)
    return samples, kinds


def histogram(path, name, samples):
    series = {}
    for key, value in samples.items():
        bucket = re.fullmatch(r'%s_bucket\{(.*,)?le="([^"]*)"\}' % name, key)
        if bucket:
            series.setdefault((bucket.group(1) or "").rstrip(","), []).append(
                (float(bucket.group(2).replace("+Inf", "inf")), value))
    if not series:
        sys.exit("%s: %s has no buckets" % (path, name))
    for labels, buckets in series.items():
        at = "{%s}" % labels if labels else ""
        if buckets != sorted(buckets) or [v for _, v in buckets] != sorted(v for _, v in buckets):
            sys.exit("%s: buckets of %s%s do not grow" % (path, name, at))
        if buckets[-1][0] != float("inf") or samples.get(name + "_count" + at) != buckets[-1][1]:
            sys.exit("%s: %s_count%s is not the last bucket" % (path, name, at))
        if name + "_sum" + at not in samples:
            sys.exit("%s: %s_sum%s is missing" % (path, name, at))


def main():
    if sys.argv[1] == "value":
        print("%g" % read(sys.argv[2])[0].get(sys.argv[3], 0))
        return
    before = {}
    for path in sys.argv[2:]:
        samples, kinds = read(path)
        for key, value in before.items():
            name = key.split("{")[0]
            counts = kinds.get(name) == "counter" or re.search("_(bucket|sum|count)$", name)
            if counts and samples.get(key, -1) < value:
                sys.exit("%s: %s went from %g to %s" % (path, key, value, samples.get(key)))
        before = samples


main()
