#include "api/provider_conf.h"
#include "apps/app.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/safestack.h>

static bool section_is(const char *known, const char *section)
{
    size_t size = strlen(known);

    if (size < 2 || strcmp(known + size - 2, " *") != 0)
        return strcmp(known, section) == 0;
    return strncmp(known, section, size - 1) == 0 && section[size - 1] != '\0';
}

static bool section_known(const char *section, const struct app_conf_key *known, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (section_is(known[i].section, section))
            return true;
    }
    return false;
}

static bool key_known(const char *section, const char *key, const struct app_conf_key *known,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (section_is(known[i].section, section) &&
            (known[i].key == NULL ? provider_conf_known(key) : strcmp(known[i].key, key) == 0))
            return true;
    }
    return false;
}

static int check_section(const char *path, const CONF *conf, const char *section,
                         const struct app_conf_key *known, size_t count)
{
    STACK_OF(CONF_VALUE) *values = NCONF_get_section(conf, section);
    int number = values == NULL ? 0 : sk_CONF_VALUE_num(values);
    const CONF_VALUE *value;

    /* OpenSSL makes a section "default" for what stands before the first section. */
    if (!section_known(section, known, count) && strcmp(section, "default") != 0) {
        app_error("%s: unknown section [%s]", path, section);
        return APP_USAGE;
    }
    for (int i = 0; i < number; i++) {
        value = sk_CONF_VALUE_value(values, i);
        if (!key_known(section, value->name, known, count)) {
            if (strcmp(section, "default") == 0)
                app_error("%s: key \"%s\" stands outside any section", path, value->name);
            else
                app_error("%s: [%s]: unknown key \"%s\"", path, section, value->name);
            return APP_USAGE;
        }
    }
    return APP_OK;
}

int app_conf_read(const char *path, CONF **conf)
{
    CONF *loaded = NCONF_new(NULL);
    long line = 0;

    *conf = NULL;
    if (loaded != NULL && NCONF_load(loaded, path, &line) > 0) {
        *conf = loaded;
        return APP_OK;
    }
    if (loaded == NULL)
        app_error("%s cannot be read: out of memory", path);
    else if (line > 0)
        app_error_openssl("%s: line %ld cannot be read", path, line);
    else if (access(path, R_OK) != 0)
        app_error("%s cannot be read: %s", path, strerror(errno)); /* what OpenSSL says thrice */
    else
        app_error_openssl("%s cannot be read", path);
    ERR_clear_error();
    NCONF_free(loaded);
    return APP_USAGE;
}

int app_conf_load(const char *path, const struct app_conf_key *known, size_t count, CONF **conf)
{
    STACK_OF(OPENSSL_CSTRING) *sections = NULL;
    CONF *loaded = NULL;
    int code;

    *conf = NULL;
    ERR_clear_error();
    code = app_conf_read(path, &loaded);
    if (code != APP_OK)
        return code;
    code = APP_USAGE;
    sections = NCONF_get_section_names(loaded);
    if (sections == NULL) {
        app_error("out of memory");
        goto out;
    }
    for (int i = 0; i < sk_OPENSSL_CSTRING_num(sections); i++) {
        if (check_section(path, loaded, sk_OPENSSL_CSTRING_value(sections, i), known, count) !=
            APP_OK)
            goto out;
    }
    *conf = loaded;
    loaded = NULL;
    code = APP_OK;
out:
    sk_OPENSSL_CSTRING_free(sections);
    NCONF_free(loaded);
    return code;
}
