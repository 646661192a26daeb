/*
 * doctor_files.c: certificates, directories and the store that [ee] and [ra] name.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "apps/dot2hsm/doctor.h"
#include "apps/dot2hsm/verify_crl.h"
#include "protocol/ra/ra.h"

#define CERTIFICATE_MAX 65536

void doctor_directory(struct doctor *doctor, const char *id, const char *what, const char *path,
                      bool written)
{
    struct stat about;
    int mode = written ? R_OK | W_OK | X_OK : R_OK | X_OK;

    if (stat(path, &about) != 0)
        doctor_fault(doctor, APP_USAGE, id,
                     "Make the directory, for the user that the program runs as.", "%s %s: %s",
                     what, path, strerror(errno));
    else if (!S_ISDIR(about.st_mode))
        doctor_fault(doctor, APP_USAGE, id, "Name a directory.", "%s %s is no directory", what,
                     path);
    else if (access(path, mode) != 0)
        doctor_fault(doctor, APP_USAGE, id, "chown it to the user that the program runs as.",
                     "%s %s cannot be %s: %s", what, path, written ? "written to" : "read",
                     strerror(errno));
    else
        doctor_good(doctor, id, "%s %s", what, path);
}

/* ---- X.509 ---- */

static X509 *read_x509(struct doctor *doctor, const char *what, const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    X509 *cert = file != NULL ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
    char why[300];

    BIO_free(file);
    if (cert == NULL) {
        snprintf(why, sizeof(why), "%s", doctor_queue(doctor));
        doctor_fault(doctor, APP_USAGE, "tls-certificate",
                     "Name a file with an X.509 certificate in PEM.", "%s %s: %s", what, path, why);
    } else if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        doctor_fault(doctor, APP_REFUSED, "tls-certificate", "Have it renewed.",
                     "%s %s has expired", what, path);
    } else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
        doctor_fault(doctor, APP_REFUSED, "tls-certificate", "Set the clock, or wait.",
                     "%s %s is not valid yet", what, path);
    } else {
        doctor_good(doctor, "tls-certificate", "%s %s", what, path);
    }
    return cert;
}

/* ---- IEEE 1609.2 ---- */

static dot2_cert *read_cert(struct doctor *doctor, const char *path)
{
    struct dot2_error error = {.status = DOT2_OK};
    uint8_t *octets = NULL;
    size_t size = 0;
    dot2_cert *cert = NULL;

    if (doctor->crypto == NULL)
        return NULL;
    if (app_file_read(path, CERTIFICATE_MAX, &octets, &size) != APP_OK)
        doctor_fault(doctor, APP_USAGE, "certificate", "Put the certificate there, in COER.", "%s",
                     doctor->heard);
    else if (dot2_cert_new(doctor->crypto, octets, size, &cert, &error) != DOT2_OK)
        doctor_fault(doctor, APP_USAGE, "certificate",
                     "Get it anew from its CA; `dot2hsm recode` makes COER of hexadecimal or "
                     "Base64.",
                     "%s is no IEEE 1609.2 certificate: %s: %s", path, error.field,
                     error.detail[0] != '\0' ? error.detail : dot2_status_text(error.status));
    OPENSSL_free(octets);
    return cert;
}

static void add_cert(struct doctor *doctor, dot2_trust *trust, const char *path, bool anchor)
{
    dot2_cert *cert = read_cert(doctor, path);

    if (cert != NULL &&
        (anchor ? dot2_trust_add_anchor(trust, cert) : dot2_trust_add(trust, cert)) != DOT2_OK)
        doctor_fault(doctor, APP_USAGE, "anchor", "Name an explicit certificate.",
                     "%s cannot be a trust anchor", path);
    dot2_cert_free(cert);
}

/* Files and directories between commas; of a directory what has the name of a certificate. */
static void add_list(struct doctor *doctor, dot2_trust *trust, const char *list, bool anchor)
{
    char *copy = strdup(list), *save = NULL;

    for (char *item = copy == NULL ? NULL : strtok_r(copy, ", \t", &save); item != NULL;
         item = strtok_r(NULL, ", \t", &save)) {
        DIR *directory = opendir(item);
        const struct dirent *entry;
        char path[4096];

        if (directory == NULL) {
            add_cert(doctor, trust, item, anchor);
            continue;
        }
        while ((entry = readdir(directory)) != NULL) {
            const char *dot = strrchr(entry->d_name, '.');

            if (dot == NULL || dot == entry->d_name ||
                (strcmp(dot, ".oer") != 0 && strcmp(dot, ".coer") != 0 &&
                 strcmp(dot, ".cert") != 0))
                continue;
            snprintf(path, sizeof(path), "%s/%s", item, entry->d_name);
            add_cert(doctor, trust, path, anchor);
        }
        closedir(directory);
    }
    free(copy);
}

static void chain_fault(struct doctor *doctor, const char *path, const struct dot2_error *error)
{
    const char *mend = "Get it anew from its CA.";

    if (error->status == DOT2_E_ISSUER_UNKNOWN)
        mend = "Put the certificates of its CAs into `certificates`, and its root into `anchors`.";
    else if (error->status == DOT2_E_EXPIRED)
        mend = "Have it renewed, and the CA's if that is the one.";
    else if (error->status == DOT2_E_NOT_YET_VALID)
        mend = "Set the clock, or wait.";
    else if (error->status == DOT2_E_REVOKED)
        mend = "Have a new one issued, for a new key; ask its CA why it was revoked.";
    doctor_fault(doctor, APP_REFUSED, "certificate", mend, "%s: %s%s%s", path,
                 dot2_status_text(error->status), error->detail[0] != '\0' ? ": " : "",
                 error->detail);
}

/* The lists of `crl-files`, after the certificates that verify them. */
static void add_crls(struct doctor *doctor, dot2_trust *trust, const char *list, uint32_t time)
{
    char *copy = strdup(list), *save = NULL;

    for (char *item = copy == NULL ? NULL : strtok_r(copy, ", \t", &save); item != NULL;
         item = strtok_r(NULL, ", \t", &save)) {
        if (verify_crl_add(trust, item, time) == APP_OK)
            doctor_good(doctor, "crl", "%s", item);
        else
            doctor_fault(doctor, APP_USAGE, "crl",
                         "Get it anew from the MA, with the certificates that verify it.", "%s",
                         doctor->heard);
    }
    free(copy);
}

struct judged {
    const char *path, *section;
    enum dot2_purpose purpose;
    EVP_PKEY *key; /* of the certificate, if its chain is good or it is explicit */
};

/* Validity, chain and public key of a certificate. */
static dot2_cert *judge(struct doctor *doctor, const CONF *conf, struct judged *it)
{
    const char *anchors = doctor_value(conf, it->section, "anchors");
    const char *others = doctor_value(conf, it->section, "certificates");
    const char *crls = doctor_value(conf, it->section, "crl-files");
    struct dot2_check check = {.purpose = it->purpose};
    struct dot2_error error = {.status = DOT2_OK};
    struct dot2_chain chain = {0};
    dot2_trust *trust = NULL;
    dot2_cert *cert = read_cert(doctor, it->path);

    if (cert == NULL || dot2_time32_now(&check.time) != DOT2_OK)
        return cert;
    if (anchors == NULL) {
        if (check.time > dot2_cert_end(cert) || check.time < dot2_cert_start(cert)) {
            error.status = check.time > dot2_cert_end(cert) ? DOT2_E_EXPIRED : DOT2_E_NOT_YET_VALID;
            chain_fault(doctor, it->path, &error);
        }
        if (!dot2_cert_is_implicit(cert))
            (void)dot2_cert_key(cert, &it->key, NULL);
        return cert;
    }
    if (dot2_trust_new(doctor->crypto, NULL, &trust) != DOT2_OK)
        return cert;
    add_list(doctor, trust, anchors, true);
    if (others != NULL)
        add_list(doctor, trust, others, false);
    if (crls != NULL)
        add_crls(doctor, trust, crls, check.time);
    if (dot2_chain_verify(trust, cert, &check, &chain, &error) == DOT2_OK) {
        doctor_good(doctor, "certificate", "%s: chain of %zu, valid", it->path, chain.depth);
        if (EVP_PKEY_up_ref(chain.key) == 1)
            it->key = chain.key;
    } else {
        chain_fault(doctor, it->path, &error);
        if (!dot2_cert_is_implicit(cert))
            (void)dot2_cert_key(cert, &it->key, NULL);
    }
    dot2_chain_clear(&chain);
    dot2_trust_free(trust);
    return cert;
}

/* Opens the private key by its URI, if a login is allowed or none is needed, and compares. */
static void same_key(struct doctor *doctor, OSSL_LIB_CTX *libctx, const EVP_PKEY *public,
                     const char *what, const char *uri, const char *path)
{
    EVP_PKEY *key = NULL;

    if (strncmp(uri, "pkcs11:", 7) == 0 && (!doctor->login || doctor->pin_refused))
        return;
    if (libctx == NULL || app_key_open(libctx, uri, &key) != APP_OK)
        doctor_fault(doctor, APP_REFUSED, "key", "Correct the option, or put the key there.",
                     "%s: %s", what, doctor->heard);
    else if (public != NULL && EVP_PKEY_eq(public, key) != 1)
        doctor_fault(
            doctor, APP_REFUSED, "key-mismatch",
            "Name the key that the certificate was issued for, or have this one certified.",
            "%s %s is not the key of the certificate %s", what, uri, path);
    else if (public != NULL)
        doctor_good(doctor, "key", "%s is the key of %s", what, path);
    EVP_PKEY_free(key);
}

static void add_key(struct doctor_key *keys, size_t *count, const char *uri, const char *what,
                    bool derive)
{
    if (uri != NULL && strncmp(uri, "pkcs11:", 7) == 0 && *count < DOCTOR_KEYS)
        keys[(*count)++] = (struct doctor_key){.uri = uri, .what = what, .derive = derive};
}

/* ---- the end entity ---- */

void doctor_ee(struct doctor *doctor, const CONF *conf, struct doctor_key *keys, size_t *count)
{
    const char *root = doctor_value(conf, "ee", "tls-root");
    const char *state = doctor_value(conf, "ee", "state-dir");

    if (root != NULL)
        X509_free(read_x509(doctor, "tls-root", root));
    if (state != NULL)
        doctor_directory(doctor, "state-dir", "state-dir", state, true);
    add_key(keys, count, doctor_value(conf, "ee", "enrollment-key"), "enrollment-key", false);
}

void doctor_ee_keys(struct doctor *doctor, const CONF *conf)
{
    const char *uri = doctor_value(conf, "ee", "enrollment-key");
    struct judged it = {.path = doctor_value(conf, "ee", "enrollment-certificate"),
                        .section = "ee",
                        .purpose = DOT2_PURPOSE_ENROLLMENT};
    OSSL_LIB_CTX *libctx = NULL;

    if (it.path == NULL)
        return;
    dot2_cert_free(judge(doctor, conf, &it));
    if (doctor_value(conf, "ee", "crl-url") != NULL)
        doctor_note(doctor, "crl", "`dot2hsm ee status` tells what the installed CRLs revoke.",
                    "the CRLs of the MA at crl-url are not looked into here");
    if (uri != NULL) {
        if (app_provider_load(&doctor->provider, &libctx) == APP_OK)
            same_key(doctor, libctx, it.key, "enrollment-key", uri, it.path);
        else
            doctor->heard[0] = '\0'; /* was said at the beginning */
    }
    EVP_PKEY_free(it.key);
    OSSL_LIB_CTX_free(libctx);
}

/* ---- the registration authority ---- */

/* dot2hsm-ra, which stands beside this program, reads its own file. */
static void check_file(struct doctor *doctor, const char *path)
{
    char self[2048], program[2100] = "dot2hsm-ra";
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int ends[2] = {-1, -1}, status = 0;
    ssize_t got;
    size_t used = 0;
    char text[1500];
    pid_t child;

    if (length > 0) {
        self[length] = '\0';
        *strrchr(self, '/') = '\0';
        snprintf(program, sizeof(program), "%s/dot2hsm-ra", self);
    }
    fflush(stdout);
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        doctor_fault(doctor, APP_USAGE, "ra-config", "Try again.", "%s", strerror(errno));
        return;
    }
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        execl(program, "dot2hsm-ra", "--check=file", path, (char *)NULL);
        dprintf(STDERR_FILENO, "%s: %s", program, strerror(errno));
        _exit(APP_USAGE);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)got;
    close(ends[0]);
    waitpid(child, &status, 0);
    while (used > 0 && text[used - 1] == '\n')
        used--;
    text[used] = '\0';
    for (char *at = text; (at = strchr(at, '\n')) != NULL;)
        *at = ' ';
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        doctor_good(doctor, "ra-config", "%s", path);
    else
        doctor_fault(doctor, APP_USAGE, "ra-config",
                     "Correct the file; dot2hsm-ra(8) has its keys.", "%s", text);
}

static void check_store(struct doctor *doctor, const char *spec)
{
    char text[400] = "";
    ra_store *store = NULL;
    enum ra_store_status status = ra_store_open(spec, false, &store, text, sizeof(text));

    if (status == RA_STORE_OK)
        doctor_good(doctor, "store", "opened");
    else if (status == RA_STORE_ARGUMENT || status == RA_STORE_SCHEMA)
        doctor_fault(doctor, APP_USAGE, "store",
                     "Write sqlite:/PATH or postgresql:CONNECTION; a newer store needs a newer "
                     "dot2hsm.",
                     "%s", text);
    else
        doctor_fault(doctor, APP_UNREACHABLE, "store",
                     "See that the database runs and lets this user in; a store that does not "
                     "exist yet is made by the first start of dot2hsm-ra.",
                     "%s", text[0] != '\0' ? text : ra_store_status_text(status));
    ra_store_close(store);
}

/* Files that the server makes: their directory has to be writable. */
static void check_place(struct doctor *doctor, const char *what, const char *path)
{
    char directory[4096];
    char *slash;

    if (path == NULL || path[0] != '/')
        return; /* stderr and syslog are no files */
    snprintf(directory, sizeof(directory), "%s", path);
    slash = strrchr(directory, '/');
    slash[slash == directory ? 1 : 0] = '\0';
    doctor_directory(doctor, "directory", what, directory, true);
}

/* What the server answers from, or staples: that it is there, and no more. */
static void check_content(struct doctor *doctor, const char *option, const char *path, bool follow)
{
    struct stat about;
    int found;

    if (path == NULL)
        return;
    found = follow ? stat(path, &about) : lstat(path, &about);
    if (found != 0 || access(path, R_OK) != 0)
        doctor_fault(doctor, APP_USAGE, option,
                     "Put the file there, for the user that the program runs as.", "%s %s: %s",
                     option, path, strerror(errno));
    else if (!S_ISREG(about.st_mode))
        doctor_fault(doctor, APP_USAGE, option, "Name the file itself.", "%s %s is no file%s",
                     option, path, follow ? "" : ": a symbolic link is not followed");
    else
        doctor_good(doctor, option, "%s", path);
}

typedef void each_key_fn(struct doctor *doctor, const CONF *conf, const char *section, void *arg);

static void each_key(struct doctor *doctor, const CONF *conf, each_key_fn *fn, void *arg)
{
    STACK_OF(OPENSSL_CSTRING) *sections = NCONF_get_section_names(conf);

    for (int i = 0; sections != NULL && i < sk_OPENSSL_CSTRING_num(sections); i++) {
        const char *section = sk_OPENSSL_CSTRING_value(sections, i);

        if (strncmp(section, "ra-key ", 7) == 0)
            fn(doctor, conf, section, arg);
    }
    sk_OPENSSL_CSTRING_free(sections);
}

struct collected {
    struct doctor_key *keys;
    size_t *count;
};

static void collect(struct doctor *doctor, const CONF *conf, const char *section, void *arg)
{
    struct collected *to = arg;

    (void)doctor;
    add_key(to->keys, to->count, doctor_value(conf, section, "sign-key"), "sign-key", false);
    add_key(to->keys, to->count, doctor_value(conf, section, "decrypt-key"), "decrypt-key", true);
}

void doctor_ra(struct doctor *doctor, const char *path, const CONF *conf, struct doctor_key *keys,
               size_t *count)
{
    static const char *const places[] = {"log", "pid-file", "port-file"};
    static const char *const served[] = {"policy-file", "chain-file", "crl-file"};
    const char *files = doctor_value(conf, "ra", "download-dir");
    const char *store = doctor_value(conf, "ra", "store");
    struct collected to = {.keys = keys, .count = count};

    check_file(doctor, path);
    if (files != NULL)
        doctor_directory(doctor, "download-dir", "download-dir", files, false);
    for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++)
        check_content(doctor, served[i], doctor_value(conf, "ra", served[i]), false);
    check_content(doctor, "ocsp-file", doctor_value(conf, "ra", "ocsp-file"), true);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        check_place(doctor, places[i], doctor_value(conf, "ra", places[i]));
    if (store != NULL)
        check_store(doctor, store);
    add_key(keys, count, doctor_value(conf, "ra", "tls-key"), "tls-key", false);
    each_key(doctor, conf, collect, &to);
}

static void judge_ra_key(struct doctor *doctor, const CONF *conf, const char *section, void *arg)
{
    OSSL_LIB_CTX *libctx = arg;
    const char *sign = doctor_value(conf, section, "sign-key");
    const char *decrypt = doctor_value(conf, section, "decrypt-key");
    struct judged it = {.path = doctor_value(conf, section, "certificate"), .section = "ra"};
    EVP_PKEY *encryption = NULL;
    dot2_cert *cert;

    if (it.path == NULL)
        return;
    cert = judge(doctor, conf, &it);
    if (cert != NULL)
        (void)dot2_cert_encryption_key(cert, &encryption, NULL);
    if (sign != NULL)
        same_key(doctor, libctx, it.key, "sign-key", sign, it.path);
    if (decrypt != NULL)
        same_key(doctor, libctx, encryption, "decrypt-key", decrypt, it.path);
    EVP_PKEY_free(encryption);
    EVP_PKEY_free(it.key);
    dot2_cert_free(cert);
}

void doctor_ra_keys(struct doctor *doctor, const char *path, const CONF *conf)
{
    const struct app_provider provider = {.config = path};
    const char *tls = doctor_value(conf, "ra", "tls-certificate");
    const char *key = doctor_value(conf, "ra", "tls-key");
    OSSL_LIB_CTX *libctx = NULL;
    X509 *cert = NULL;

    if (app_provider_load(&provider, &libctx) != APP_OK)
        doctor->heard[0] = '\0'; /* was said at the beginning */
    if (tls != NULL && (cert = read_x509(doctor, "tls-certificate", tls)) != NULL && key != NULL)
        same_key(doctor, libctx, X509_get0_pubkey(cert), "tls-key", key, tls);
    each_key(doctor, conf, judge_ra_key, libctx);
    X509_free(cert);
    OSSL_LIB_CTX_free(libctx);
}
