/*
 * user.c: the user that the server becomes after root has opened keys and ports.
 */
#include "apps/ra/ra_app.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

static int failed(const struct ra_app_user *user, const char *call)
{
    app_error("becoming user %s: %s: %s", user->name, call, strerror(errno));
    return APP_USAGE;
}

int ra_app_user_find(const char *name, struct ra_app_user *user)
{
    char buffer[16384];
    struct passwd entry, *found = NULL;
    int error;

    memset(user, 0, sizeof *user);
    if (name == NULL)
        return APP_OK;
    error = getpwnam_r(name, &entry, buffer, sizeof buffer, &found);
    if (found == NULL) {
        app_error("[ra]: user is \"%s\": %s", name, error == 0 ? "unknown" : strerror(error));
        return APP_USAGE;
    }
    if (entry.pw_uid == 0 || entry.pw_gid == 0) {
        app_error("[ra]: user is \"%s\", which is root or of root's group", name);
        return APP_USAGE;
    }
    if (geteuid() != 0 && geteuid() != entry.pw_uid) {
        app_error("[ra]: user is \"%s\", which root alone can become", name);
        return APP_USAGE;
    }
    user->name = name;
    user->uid = entry.pw_uid;
    user->gid = entry.pw_gid;
    user->change = geteuid() == 0;
    return APP_OK;
}

int ra_app_user_enter(const struct ra_app_user *user)
{
    if (!user->change)
        return APP_OK;
    if (initgroups(user->name, user->gid) != 0)
        return failed(user, "initgroups");
    if (setegid(user->gid) != 0)
        return failed(user, "setegid");
    return seteuid(user->uid) == 0 ? APP_OK : failed(user, "seteuid");
}

void ra_app_user_leave(const struct ra_app_user *user)
{
    /* Neither can fail for a process whose real user is root; if one does, nothing is safe. */
    if (user->change && (seteuid(0) != 0 || setegid(0) != 0))
        abort();
}

int ra_app_user_become(const struct ra_app_user *user)
{
    uid_t real, effective, saved;

    if (!user->change)
        return APP_OK;
    /* The C library does each of these in all threads, those of a PKCS#11 module too. */
    if (initgroups(user->name, user->gid) != 0)
        return failed(user, "initgroups");
    if (setresgid(user->gid, user->gid, user->gid) != 0)
        return failed(user, "setresgid");
    if (setresuid(user->uid, user->uid, user->uid) != 0)
        return failed(user, "setresuid");
    if (getresuid(&real, &effective, &saved) != 0 || real != user->uid || effective != user->uid ||
        saved != user->uid || seteuid(0) == 0) {
        app_error("user %s can become root again", user->name);
        return APP_USAGE;
    }
    return APP_OK;
}

int ra_app_user_key(const struct ra_app_user *user, EVP_PKEY *key)
{
    static const unsigned char octets[] = "dot2hsm-ra: may this user sign?";
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *signature = NULL;
    size_t size = 0;
    int code = APP_UNREACHABLE;

    /* The curve's own digest, which TLS uses, too: the provider takes no other. */
    if (ctx != NULL && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) == 1 &&
        EVP_DigestSign(ctx, NULL, &size, octets, sizeof octets) == 1 &&
        (signature = OPENSSL_malloc(size)) != NULL &&
        EVP_DigestSign(ctx, signature, &size, octets, sizeof octets) == 1)
        code = APP_OK;
    else
        app_error_openssl("the TLS key does not sign for user %s, who may lack rights to what the "
                          "PKCS#11 module needs (the token's directory, a socket, a device)",
                          user->name);
    OPENSSL_free(signature);
    EVP_MD_CTX_free(ctx);
    return code;
}
