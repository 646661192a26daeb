/* cmd_doctor.c: dot2hsm doctor, which tells what is wrong with a set-up, and the mend. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>

#include <openssl/x509.h>

#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/doctor.h"

struct sources {
    const char *openssl, *ra;
};

static int doctor_help(void)
{
    printf("Usage: dot2hsm doctor [OPTION]... [URI]...\n"
           "Looks at a set-up and says what is wrong with it, with the mend: the configuration of "
           "the\n"
           "provider, of an end entity or of dot2hsm-ra, and the host, module, token, PIN source, "
           "keys\n"
           "and certificates. Keys of the URIs are looked at, and those that the files name.\n\n"
           "      --openssl FILE       an openssl.cnf (without any file: OPENSSL_CONF, else the\n"
           "                           system's)\n"
           "      --ra FILE            a configuration of dot2hsm-ra\n"
           "      --login              log in, once, and look at the keys and whether they sign\n"
           "      --json               as JSON\n%s\n"
           "Exit status: 0 without a fault (there may be notes); else 2 if a fault is of the\n"
           "configuration, else 3 if something cannot be reached, else 1.\n",
           COMMAND_PROVIDER_HELP);
    return APP_OK;
}

static void check_clock(struct doctor *doctor)
{
    struct timex kernel = {.modes = 0};

    if (adjtimex(&kernel) < 0) {
        doctor_note(doctor, "clock", "Allow the system call adjtimex.",
                    "the kernel does not tell its TAI offset: a table of leap seconds is used");
        return;
    }
    if (kernel.tai == 0)
        doctor_note(doctor, "clock-tai", "Let chrony (leapsectz right/UTC), ntpd or ptp4l set it.",
                    "the kernel's TAI offset is not set: a table of leap seconds to 2017 is used, "
                    "which does not know a later one");
    else
        doctor_good(doctor, "clock-tai", "TAI is %d s ahead of UTC", kernel.tai);
    if ((kernel.status & STA_UNSYNC) != 0)
        doctor_note(doctor, "clock-unsynchronised", "Run chrony, ntpd or ptp4l.",
                    "no clock discipline: an RA refuses requests when the clock is seconds off");
}

static void check_host(struct doctor *doctor)
{
    struct dot2_error error = {.status = DOT2_OK};
    /* Options of no file: the provider alone is tried. */
    static const struct app_provider none = {.config = "/dev/null"};
    char path[4096];

    check_clock(doctor);
    if (geteuid() == 0)
        doctor_note(doctor, "root", "Run it as that user.",
                    "run by root: what the user of a service may read, this cannot tell");
    if (app_provider_load(&none, &doctor->libctx) != APP_OK)
        doctor_fault(doctor, APP_USAGE, "provider-module",
                     "Install dot2hsm.so, or set DOT2HSM_PROVIDER_PATH to its directory.", "%s",
                     doctor->heard);
    else if (dot2_crypto_new(doctor->libctx, &doctor->crypto, &error) != DOT2_OK)
        doctor_fault(doctor, APP_USAGE, "provider-module", "Install dot2hsm.so of this version.",
                     "%s", error.detail);
    else if (app_provider_find(path))
        doctor_good(doctor, "provider-module", "%s", path);
}

static void add_operands(const struct doctor *doctor, struct doctor_key *keys, size_t *count)
{
    for (size_t i = 0; i < doctor->uri_count && *count < DOCTOR_KEYS; i++)
        keys[(*count)++] = (struct doctor_key){.uri = doctor->uris[i], .what = doctor->uris[i]};
}

static void visit_openssl(struct doctor *doctor, const char *path)
{
    struct doctor_key keys[DOCTOR_KEYS];
    char module[4096];
    size_t count = 0;
    CONF *conf = NULL;

    doctor_openssl(doctor, path, &conf, module);
    add_operands(doctor, keys, &count);
    if (conf != NULL)
        doctor_token(doctor, &doctor->provider, conf, keys, count);
    NCONF_free(conf);
}

static void visit_config(struct doctor *doctor)
{
    struct doctor_key keys[DOCTOR_KEYS];
    size_t count = 0;
    CONF *conf = NULL;

    if (command_conf_load(&doctor->provider, &conf) != APP_OK) {
        doctor_fault(doctor, APP_USAGE, "config", "Correct it; dot2hsm.conf(5) has the keys.", "%s",
                     doctor->heard);
        return;
    }
    if (conf != NULL)
        doctor_ee(doctor, conf, keys, &count);
    add_operands(doctor, keys, &count);
    doctor_token(doctor, &doctor->provider, conf, keys, count);
    if (conf != NULL)
        doctor_ee_keys(doctor, conf);
    NCONF_free(conf);
}

static void visit_ra(struct doctor *doctor, const char *path)
{
    static const struct app_provider none;
    struct doctor_key keys[DOCTOR_KEYS];
    size_t count = 0;
    CONF *conf = NULL;

    if (app_conf_read(path, &conf) != APP_OK) {
        doctor_fault(doctor, APP_USAGE, "ra-config", "Name a file that is in CONF's format.", "%s",
                     doctor->heard);
    } else {
        doctor_ra(doctor, path, conf, keys, &count);
        doctor_token(doctor, &none, conf, keys, count);
        doctor_ra_keys(doctor, path, conf);
    }
    NCONF_free(conf);
}

static int examine(struct doctor *doctor, const struct sources *sources)
{
    const char *openssl = sources->openssl, *variable = secure_getenv("OPENSSL_CONF");
    char standard[4096];
    int code;
    bool config = app_conf_path(&doctor->provider) != NULL || doctor->provider.module != NULL;

    doctor_begin(doctor);
    check_host(doctor);
    if (openssl == NULL && sources->ra == NULL && !config) {
        snprintf(standard, sizeof(standard), "%s/openssl.cnf", X509_get_default_cert_area());
        openssl = variable != NULL ? variable : standard;
    }
    if (openssl != NULL)
        visit_openssl(doctor, openssl);
    else if (config)
        visit_config(doctor);
    if (sources->ra != NULL)
        visit_ra(doctor, sources->ra);
    code = doctor_end(doctor);
    dot2_crypto_free(doctor->crypto);
    OSSL_LIB_CTX_free(doctor->libctx);
    return code;
}

int cmd_doctor(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"login", no_argument, NULL, 'l'},
                                            {"openssl", required_argument, NULL, 'o'},
                                            {"ra", required_argument, NULL, 'r'},
                                            COMMAND_PROVIDER_OPTIONS,
                                            {NULL, 0, NULL, 0}};
    struct doctor doctor;
    struct sources sources = {NULL, NULL};
    int option;

    memset(&doctor, 0, sizeof(doctor));
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return doctor_help();
        if (option == 'j')
            doctor.as_json = true;
        else if (option == 'l')
            doctor.login = true;
        else if (option == 'o')
            sources.openssl = optarg;
        else if (option == 'r')
            sources.ra = optarg;
        else if (!command_provider_option(option, optarg, &doctor.provider))
            return command_usage();
    }
    doctor.uris = (const char *const *)argv + optind;
    doctor.uri_count = (size_t)(argc - optind);
    for (size_t i = 0; i < doctor.uri_count; i++) {
        if (strncmp(doctor.uris[i], "pkcs11:", 7) != 0) {
            app_error("%s is no pkcs11: URI", doctor.uris[i]);
            return command_usage();
        }
    }
    return examine(&doctor, &sources);
}
