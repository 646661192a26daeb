/*
 * doctor_openssl.c: an openssl.cnf as libcrypto reads it. OpenSSL gives a provider no way to see
 * what it does not ask for, so that a misspelt option is seen here only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/provider.h>

#include "api/provider_conf.h"
#include "apps/dot2hsm/doctor.h"

#define WRITE_IT "`dot2hsm config` writes a file that works."

const char *doctor_value(const CONF *conf, const char *section, const char *name)
{
    STACK_OF(CONF_VALUE) *values = NULL;
    const char *found = NULL;

    /* NCONF_get_string() would look into the default section as well. */
    ERR_set_mark();
    if (conf != NULL)
        values = NCONF_get_section(conf, section);
    ERR_pop_to_mark();
    for (int i = 0; values != NULL && i < sk_CONF_VALUE_num(values); i++) {
        const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);

        if (strcmp(value->name, name) == 0)
            found = value->value;
    }
    return found;
}

static STACK_OF(CONF_VALUE) * section_of(const CONF *conf, const char *section)
{
    STACK_OF(CONF_VALUE) *values = NULL;

    ERR_set_mark();
    if (section != NULL)
        values = NCONF_get_section(conf, section);
    ERR_pop_to_mark();
    return values;
}

static CONF *load(struct doctor *doctor, const char *id, const char *path)
{
    CONF *conf = NCONF_new(NULL);
    long line = 0;

    ERR_clear_error();
    if (conf != NULL && NCONF_load(conf, path, &line) > 0)
        return conf;
    NCONF_free(conf);
    if (line > 0)
        doctor_fault(doctor, APP_USAGE, id, "Correct that line; config(5ssl) has the format.",
                     "%s: line %ld cannot be read", path, line);
    else
        doctor_fault(doctor, APP_USAGE, id,
                     "Name a file that is there and that this user may read.", "%s: %s", path,
                     doctor_queue(doctor));
    return NULL;
}

static void unknown(struct doctor *doctor, const char *path, const char *section, const char *name)
{
    const char *like = app_provider_option_like(name);
    char mend[160];

    snprintf(mend, sizeof(mend), like != NULL ? "Write %s instead." : "Take it out.", like);
    doctor_fault(doctor, APP_USAGE, "option", mend,
                 "%s: [%s]: %s is no option of the provider, and has no effect", path, section,
                 name);
}

/* Copies the options of one section of conf to bio, but for those that `over` has. */
static void take(struct doctor *doctor, BIO *bio, const char *path, const CONF *conf,
                 const char *section, const CONF *over, const char *over_section)
{
    /* What libcrypto itself reads there. */
    static const char *const core[] = {"identity", "soft_load", "module", "activate", "config"};
    STACK_OF(CONF_VALUE) *values = section_of(conf, section);

    for (int i = 0; values != NULL && i < sk_CONF_VALUE_num(values); i++) {
        const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);
        bool known = false;

        if (provider_conf_known(value->name)) {
            if (over == NULL || doctor_value(over, over_section, value->name) == NULL)
                app_conf_put(bio, value->name, value->value);
            continue;
        }
        for (size_t j = 0; over == NULL && j < sizeof(core) / sizeof(core[0]); j++)
            known = known || strcmp(core[j], value->name) == 0;
        if (!known)
            unknown(doctor, path, section, value->name);
    }
}

/* The options that hold: the section's, then those of the file that it, or DOT2HSM_CONF, names. */
static CONF *effective(struct doctor *doctor, const char *path, const CONF *conf,
                       const char *section)
{
    const char *variable = secure_getenv("DOT2HSM_CONF");
    const char *file = doctor_value(conf, section, "config");
    BIO *bio = BIO_new(BIO_s_secmem());
    CONF *made = NCONF_new(NULL), *own = NULL;
    long line = 0;

    if (bio == NULL || made == NULL)
        goto out;
    BIO_puts(bio, "[provider]\n");
    take(doctor, bio, path, conf, section, NULL, NULL);
    if (file == NULL && variable != NULL && *variable != '\0')
        file = variable;
    if (file != NULL)
        own = load(doctor, "config", file);
    if (own != NULL) {
        take(doctor, bio, file, own, "default", conf, section);
        take(doctor, bio, file, own, "provider", conf, section);
    }
    if (NCONF_load_bio(made, bio, &line) <= 0) {
        NCONF_free(made);
        made = NULL;
    }
out:
    NCONF_free(own);
    BIO_free(bio);
    return made;
}

/* Where libcrypto looks for the provider, and whether it is that. */
static void check_module(struct doctor *doctor, const CONF *conf, const char *section,
                         const char *name, char path[4096])
{
    const char *given = doctor_value(conf, section, "module");
    const char *directory = secure_getenv("OPENSSL_MODULES");
    OSSL_LIB_CTX *libctx = NULL;
    OSSL_PROVIDER *provider = NULL;

    if (directory == NULL)
        directory = OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
    if (given == NULL)
        snprintf(path, 4096, "%s/%s%s", directory, name, DOT2HSM_MODULE_SUFFIX);
    else if (strchr(given, '/') == NULL)
        snprintf(path, 4096, "%s/%s", directory, given);
    else
        snprintf(path, 4096, "%s", given);
    if (access(path, R_OK) != 0) {
        doctor_fault(doctor, APP_USAGE, "provider-module",
                     "Install dot2hsm.so there, or give its path as module in the section.",
                     "the provider is not at %s", path);
        path[0] = '\0';
        return;
    }
    libctx = OSSL_LIB_CTX_new();
    /* By its path: what is loaded under another name would be another provider. */
    if (libctx != NULL)
        provider = OSSL_PROVIDER_load(libctx, path);
    if (provider == NULL) {
        doctor_fault(doctor, APP_USAGE, "provider-module",
                     "Give the path of dot2hsm.so as module in the section.",
                     "%s cannot be loaded as a provider: %s", path, doctor_queue(doctor));
        path[0] = '\0';
    } else {
        doctor_good(doctor, "provider-module", "%s", path);
        OSSL_PROVIDER_unload(provider);
    }
    OSSL_LIB_CTX_free(libctx);
}

/* The list of providers: the name of our section; says whether others are active. */
static const char *find_section(struct doctor *doctor, const char *path, const CONF *conf,
                                const char *list, const char **name)
{
    STACK_OF(CONF_VALUE) *values = section_of(conf, list);
    const char *ours = NULL;
    bool other = false;

    for (int i = 0; values != NULL && i < sk_CONF_VALUE_num(values); i++) {
        const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);
        const char *identity = doctor_value(conf, value->value, "identity");
        const char *dot = strrchr(value->name, '.');

        if (identity == NULL)
            identity = dot != NULL ? dot + 1 : value->name;
        if (strcmp(identity, "dot2hsm") == 0) {
            ours = value->value;
            *name = identity;
        } else if (strcmp(identity, "default") == 0 || strcmp(identity, "fips") == 0) {
            /* OpenSSL 3.0 takes any value for a yes. */
            other = other || doctor_value(conf, value->value, "activate") != NULL;
        }
    }
    if (ours == NULL)
        doctor_fault(doctor, APP_USAGE, "openssl-cnf", WRITE_IT,
                     "%s: [%s] names no provider dot2hsm", path, list);
    else if (!other)
        doctor_fault(doctor, APP_USAGE, "default-provider",
                     "Name it in the list of providers, with a section that has activate = 1.",
                     "%s: the provider default is not active: as soon as a file activates any "
                     "provider, OpenSSL activates no other by itself, and dot2hsm needs it for "
                     "hashing and for public keys",
                     path);
    else
        doctor_good(doctor, "default-provider", "active");
    return ours;
}

void doctor_openssl(struct doctor *doctor, const char *path, CONF **conf, char module[4096])
{
    CONF *file = load(doctor, "openssl-cnf", path);
    const char *start, *list, *section = NULL, *name = "dot2hsm";

    *conf = NULL;
    module[0] = '\0';
    if (file == NULL)
        return;
    start = doctor_value(file, "default", "openssl_conf");
    list = start != NULL ? doctor_value(file, start, "providers") : NULL;
    if (start == NULL)
        doctor_fault(doctor, APP_USAGE, "openssl-cnf",
                     "Put openssl_conf = NAME before the first section; " WRITE_IT,
                     "%s: openssl_conf does not stand before the first section, so OpenSSL reads "
                     "no provider from this file",
                     path);
    else if (list == NULL)
        doctor_fault(doctor, APP_USAGE, "openssl-cnf", WRITE_IT,
                     "%s: there is no providers = NAME in a section [%s]", path, start);
    else
        section = find_section(doctor, path, file, list, &name);
    if (section == NULL)
        goto out;
    if (section_of(file, section) == NULL) {
        doctor_fault(doctor, APP_USAGE, "openssl-cnf", WRITE_IT, "%s: there is no section [%s]",
                     path, section);
        goto out;
    }
    if (doctor_value(file, section, "activate") == NULL)
        doctor_fault(doctor, APP_USAGE, "activate", "Put activate = 1 into the section.",
                     "%s: [%s]: the provider is loaded and not activated", path, section);
    check_module(doctor, file, section, name, module);
    *conf = effective(doctor, path, file, section);
out:
    NCONF_free(file);
}
