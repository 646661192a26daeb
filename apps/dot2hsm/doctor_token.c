#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include "apps/dot2hsm/doctor.h"
#include "apps/dot2hsm/token.h"

/* Why the module cannot be used: asked of the system, which knows more than one error code. */
static void module_fault(struct doctor *doctor, const char *path, const char *why)
{
    void *handle;

    if (strchr(path, '/') != NULL && access(path, R_OK) != 0) {
        doctor_fault(doctor, APP_USAGE, "module",
                     "Install the HSM vendor's PKCS#11 module, or correct pkcs11-module.",
                     "the module is not there, or may not be read: %s", path);
        return;
    }
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        doctor_fault(doctor, APP_USAGE, "module",
                     "Install the libraries that it needs, or correct pkcs11-module.", "%s",
                     dlerror());
    else if (dlsym(handle, "C_GetFunctionList") == NULL)
        doctor_fault(doctor, APP_USAGE, "module",
                     "Set pkcs11-module to the library that has C_GetFunctionList.",
                     "%s is a library, but no PKCS#11 module", path);
    else
        doctor_fault(doctor, APP_UNREACHABLE, "module",
                     "See the module's own configuration and log, and whether its HSM or service "
                     "is up.",
                     "%s", why);
    /* Not closed: a module that was called may have threads. */
}

static void pin_source(struct doctor *doctor, p11_ctx *ctx, const char *uri, bool *usable)
{
    const char *why, *mend = "Correct pin-source: file:/PATH, env:NAME or credential:NAME.";
    bool there = false;
    enum p11_status status = p11_pin_check(ctx, uri, &there);

    *usable = status == P11_OK && there;
    if (*usable) {
        doctor_good(doctor, "pin-source", "the PIN can be read");
        return;
    }
    if (status == P11_OK) {
        doctor_note(doctor, "pin-source", "Set pin-source in the configuration.",
                    "no source of the PIN is configured: a program on a terminal asks for it, a "
                    "service cannot");
        return;
    }
    why = doctor_queue(doctor);
    if (strstr(why, "lets others in") != NULL)
        mend = "chmod 0600 the file, and change the PIN if others could have read it.";
    else if (strstr(why, "belongs to another user") != NULL)
        mend = "chown the file to the user that the program runs as, or to root.";
    else if (strstr(why, "CREDENTIALS_DIRECTORY") != NULL)
        mend = "Put LoadCredential= into the unit; a credential is there for a service only.";
    else if (strstr(why, "is not set") != NULL)
        mend = "Set the variable in the environment of the program, or use a file.";
    else if (strstr(why, "Permission denied") != NULL || strstr(why, "No such file") != NULL)
        mend = "Make the file, mode 0600, for the user that the program runs as.";
    doctor_fault(doctor, APP_USAGE, "pin-source", mend, "%s", why);
}

static void pin_state(struct doctor *doctor, const struct p11_token_info *token, bool *usable)
{
    if (token->pin_locked) {
        doctor_fault(doctor, APP_REFUSED, "pin-locked",
                     "Have the token's security officer set a new user PIN.",
                     "the user PIN of \"%s\" is locked after wrong tries", token->label);
        *usable = false;
    } else if (!token->pin_set) {
        doctor_fault(doctor, APP_REFUSED, "pin-not-set",
                     "Set the user PIN with the vendor's tool, as the security officer.",
                     "the token \"%s\" has no user PIN yet", token->label);
        *usable = false;
    } else if (token->pin_final_try) {
        doctor_fault(doctor, APP_REFUSED, "pin-final-try",
                     "Log in once with the right PIN by hand; this program does not try.",
                     "one more wrong PIN locks the token \"%s\"", token->label);
        *usable = false;
    } else if (token->pin_count_low) {
        doctor_note(doctor, "pin-count-low", "Find out which program has a wrong PIN.",
                    "wrong PINs were tried at the token \"%s\" since the last login", token->label);
    }
}

static void mechanisms(struct doctor *doctor, const struct p11_token_info *token)
{
    if (token->ecdsa)
        doctor_good(doctor, "mechanism", "CKM_ECDSA%s%s", token->ecdh ? ", CKM_ECDH1_DERIVE" : "",
                    token->generate ? ", CKM_EC_KEY_PAIR_GEN" : "");
    else
        doctor_fault(doctor, APP_REFUSED, "mechanism",
                     "Allow it in the HSM's policy, or use another HSM.",
                     "the token \"%s\" does not offer CKM_ECDSA: it cannot sign", token->label);
    if (!token->ecdh)
        doctor_note(doctor, "mechanism",
                    "Allow it in the HSM's policy, if keys in the token are to decrypt.",
                    "the token \"%s\" does not offer CKM_ECDH1_DERIVE: no decryption, and no "
                    "ECDH, with its keys",
                    token->label);
    if (!token->generate)
        doctor_note(
            doctor, "mechanism", "Make keys with the vendor's tool.",
            "the token \"%s\" does not offer CKM_EC_KEY_PAIR_GEN: no keys can be made in it",
            token->label);
}

/* The one token among those that match; NULL, and said, if it is none or several. */
static const struct p11_token_info *one_token(struct doctor *doctor, const p11_survey *survey,
                                              const char *uri)
{
    const struct p11_token_info *found = NULL, *blank = NULL, *token;
    size_t all = 0, count = p11_survey_count(survey, &all), ready = 0;
    char labels[600] = "";

    for (size_t i = 0; i < count; i++) {
        token = p11_survey_get(survey, i);
        if (!token->initialized) {
            blank = token;
            continue;
        }
        ready++;
        found = token;
        snprintf(labels + strlen(labels), sizeof(labels) - strlen(labels), "%s%s",
                 ready > 1 ? ", " : "", token->label);
    }
    if (ready == 1)
        return found;
    if (ready > 1)
        doctor_fault(doctor, APP_USAGE, "token-ambiguous",
                     "Name one in the URI, or as token in the configuration, by token=, serial= "
                     "or slot-id=.",
                     "%zu tokens match %s: %s", ready, uri, labels);
    else if (blank != NULL)
        doctor_fault(doctor, APP_UNREACHABLE, "token-not-initialised",
                     "Initialise it with the vendor's tool (softhsm2-util --init-token for "
                     "SoftHSM).",
                     "the token that matches %s is not initialised", uri);
    else
        doctor_fault(doctor, APP_UNREACHABLE, "token",
                     "Plug it in or start its service, and see that the URI names it; SoftHSM "
                     "looks in the directory that SOFTHSM2_CONF's file names.",
                     "no token matches %s, of %zu that the module shows", uri, all);
    return NULL;
}

static void one_key(struct doctor *doctor, p11_ctx *ctx, const struct doctor_key *key,
                    const struct p11_token_info *token)
{
    struct doctor_key named = *key;
    bool usable = true;

    pin_state(doctor, token, &usable);
    mechanisms(doctor, token);
    if (key->derive && !token->ecdh)
        doctor_fault(doctor, APP_REFUSED, "mechanism",
                     "Allow it in the HSM's policy, or use another HSM.",
                     "%s is to decrypt, and its token does not offer CKM_ECDH1_DERIVE", key->what);
    if (!token->protected_path && token->login_required) {
        bool readable = false;

        pin_source(doctor, ctx, key->uri, &readable);
        usable = usable && readable;
    }
    if (!doctor->login)
        return;
    if (!usable || doctor->pin_refused)
        doctor_note(doctor, "login", "Mend what is said above first.",
                    "no login is tried, so the keys are not looked at");
    else
        doctor_keys(doctor, ctx, &named);
}

void doctor_token(struct doctor *doctor, const struct app_provider *provider, const CONF *conf,
                  const struct doctor_key *keys, size_t count)
{
    static const struct doctor_key any = {.uri = "pkcs11:", .what = "the token's keys"};
    const char *module = provider->module != NULL ? provider->module
                                                  : doctor_value(conf, "provider", "pkcs11-module");
    p11_survey *survey = NULL;
    p11_ctx *ctx = NULL;
    const struct p11_token_info *token;
    int code;

    if (module == NULL && conf != NULL)
        module = doctor_value(conf, "default", "pkcs11-module");
    if (module == NULL) {
        if (count == 0)
            doctor_note(doctor, "module", "Set pkcs11-module if keys are to be in an HSM.",
                        "no PKCS#11 module is configured: software keys only");
        else
            doctor_fault(doctor, APP_USAGE, "module", "Set pkcs11-module.",
                         "%s is a pkcs11: URI, and no PKCS#11 module is configured", keys[0].what);
        return;
    }
    code = token_open(provider, conf, &ctx);
    if (code != APP_OK) {
        doctor_fault(doctor, APP_USAGE, "option",
                     "Correct it; dot2hsm-provider(7) says what each option takes.", "%s",
                     doctor->heard);
        return;
    }
    for (size_t i = 0; i < count || (count == 0 && i == 0); i++) {
        const struct doctor_key *key = count > 0 ? &keys[i] : &any;

        p11_survey_free(survey);
        survey = NULL;
        code = (int)p11_survey_new(ctx, key->uri, &survey);
        if (code == P11_E_URI) {
            doctor_fault(doctor, APP_USAGE, "uri", "Correct it; RFC 7512 has the attributes.",
                         "%s: %s", key->what, doctor_queue(doctor));
            continue;
        }
        if (code != P11_OK) {
            module_fault(doctor, module, doctor_queue(doctor));
            break;
        }
        if (i == 0)
            doctor_good(doctor, "module", "%s: %s", module, p11_survey_module(survey));
        token = one_token(doctor, survey, key->uri);
        if (token == NULL)
            continue;
        doctor_good(doctor, "token", "%s is in \"%s\"", key->what, token->label);
        one_key(doctor, ctx, key, token);
    }
    p11_survey_free(survey);
    p11_ctx_free(ctx);
}
