/* dot2hsm lab run: the CAs behind the RA of a lab; see lab_run.h. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/lab_run.h"
#include "apps/dot2hsm/ra_options.h"
#include "apps/dot2hsm/support.h"

static const char usage[] =
    "Usage: dot2hsm lab run [OPTION]... DIR\n"
    "The enrollment CA and the pseudonym CA of the lab in DIR, which `dot2hsm lab init` made.\n"
    "FOR TESTS AND DEMONSTRATIONS ONLY: the keys are plain files, and nobody approves anything.\n"
    "\n"
    "Enrollment requests are files DIR/eca/requests/NAME.oer; the answer is\n"
    "DIR/eca/responses/NAME.oer, and the request goes to DIR/eca/done. Those refused go to\n"
    "DIR/eca/refused, with the reason in NAME.oer.txt.\n"
    "Requests that the RA accepted are taken from the store that DIR/ra.conf names; the answers "
    "are\n"
    "zip files in its download directory.\n"
    "It can be killed at any point and started again.\n"
    "\n"
    "      --once             do what there is to do, and end\n"
    "      --interval MS      look for work every MS milliseconds (default 500)\n"
    "      --enrollment KIND  implicit (default: as an ECA of the CV Pilots), or explicit: this\n"
    "                         project's variant, for keys that are in a token\n"
    "      --application KIND explicit (default: for keys that are in a token), or implicit\n"
    "      --help             this text\n";

bool lab_run_broken(enum dot2_status status)
{
    return status == DOT2_E_MEMORY || status == DOT2_E_PROVIDER || status == DOT2_E_CRYPTO;
}

/* ---- what the lab has ---- */

static int read_key(struct lab_run *run, enum lab_cert which)
{
    char path[LAB_PATH];
    struct lab *lab = &run->lab;

    return app_key_open(lab->libctx, lab_path(lab, lab_cert_key_file(which), path),
                        &lab->keys[which].key);
}

static int read_certs(struct lab_run *run)
{
    static const enum lab_cert wanted[] = {LAB_ROOT, LAB_ICA, LAB_ECA, LAB_PCA};
    struct lab *lab = &run->lab;
    char path[LAB_PATH];
    int result = APP_OK;

    if (dot2_trust_new(lab->crypto, NULL, &run->trust) != DOT2_OK) {
        app_error("out of memory");
        return APP_REFUSED;
    }
    for (size_t i = 0; result == APP_OK && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        enum lab_cert which = wanted[i];
        enum dot2_status status;

        result = command_certificate(lab->crypto, lab_path(lab, lab_cert_file(which), path),
                                     &lab->certs[which]);
        if (result != APP_OK)
            return result;
        status = which == LAB_ROOT ? dot2_trust_add_anchor(run->trust, lab->certs[which])
                                   : dot2_trust_add(run->trust, lab->certs[which]);
        if (status != DOT2_OK) {
            app_error("%s: %s", path, dot2_status_text(status));
            return APP_REFUSED;
        }
    }
    return APP_OK;
}

static int make_folders(const struct lab_run *run)
{
    static const char *const folders[] = {"eca", "eca/requests", "eca/responses", "eca/refused",
                                          "eca/done"};
    char path[LAB_PATH];

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (mkdir(lab_path(&run->lab, folders[i], path), 0700) != 0 && errno != EEXIST) {
            app_error("%s: %s", path, strerror(errno));
            return APP_REFUSED;
        }
    }
    return APP_OK;
}

static int open_dir(struct lab_run *run)
{
    char path[LAB_PATH], *absolute = realpath(run->dir_option, NULL);

    if (absolute == NULL || strlen(absolute) >= sizeof(run->lab.dir)) {
        app_error("%s: %s", run->dir_option,
                  absolute == NULL ? strerror(errno) : "the path is too long");
        free(absolute);
        return APP_USAGE;
    }
    snprintf(run->lab.dir, sizeof(run->lab.dir), "%s", absolute);
    free(absolute);
    if (access(lab_path(&run->lab, "ra.conf", path), R_OK) != 0) {
        app_error("%s: %s; `dot2hsm lab init` makes a lab", path, strerror(errno));
        return APP_USAGE;
    }
    return APP_OK;
}

/* Two at once would write the same files. The lock ends with the process. */
static int take_lock(struct lab_run *run)
{
    char path[LAB_PATH];

    run->lock = open(lab_path(&run->lab, "eca/lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (run->lock >= 0 && flock(run->lock, LOCK_EX | LOCK_NB) == 0)
        return APP_OK;
    if (run->lock >= 0 && errno == EWOULDBLOCK)
        app_error("another `dot2hsm lab run` is at work in %s", run->lab.dir);
    else
        app_error("%s: %s", path, strerror(errno));
    return APP_REFUSED;
}

static int open_store(struct lab_run *run)
{
    char path[LAB_PATH];
    struct ra_options options = {.config = lab_path(&run->lab, "ra.conf", path)};
    CONF *conf = NULL;
    const char *directory = NULL;
    int result = ra_options_open(&options, &run->store);

    if (result != APP_OK)
        return result;
    result = app_conf_read(path, &conf);
    if (result != APP_OK)
        return result;
    directory = NCONF_get_string(conf, "ra", "download-dir");
    if (directory == NULL || strlen(directory) >= sizeof(run->download_dir)) {
        app_error_openssl("%s has no [ra] download-dir", path);
        result = APP_USAGE;
    } else {
        snprintf(run->download_dir, sizeof(run->download_dir), "%s", directory);
    }
    NCONF_free(conf);
    return result;
}

/* What a run that was killed has not renamed. */
static void remove_parts(const struct lab_run *run)
{
    static const char *const folders[] = {"eca/responses", "eca/refused"};
    char directory[LAB_PATH], path[LAB_PATH + 32];

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        snprintf(path, sizeof(path), "%s/" LAB_PART, lab_path(&run->lab, folders[i], directory));
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/" LAB_PART, run->download_dir);
    unlink(path);
}

static int prepare(struct lab_run *run)
{
    int result = open_dir(run);

    if (result == APP_OK)
        result = make_folders(run);
    if (result == APP_OK)
        result = take_lock(run);
    if (result == APP_OK)
        result = command_crypto(NULL, &run->lab.libctx, &run->lab.crypto);
    if (result == APP_OK)
        result = read_certs(run);
    if (result == APP_OK)
        result = read_key(run, LAB_ECA);
    if (result == APP_OK)
        result = read_key(run, LAB_PCA);
    if (result == APP_OK)
        result = open_store(run);
    if (result == APP_OK)
        remove_parts(run);
    return result;
}

static void clear(struct lab_run *run)
{
    ra_store_close(run->store);
    dot2_trust_free(run->trust);
    for (int i = 0; i < LAB_CERTS; i++) {
        lab_key_clear(&run->lab.keys[i]);
        dot2_cert_free(run->lab.certs[i]);
    }
    dot2_crypto_free(run->lab.crypto);
    OSSL_LIB_CTX_free(run->lab.libctx);
    if (run->lock >= 0)
        close(run->lock);
}

/* ---- the loop ---- */

static int loop(struct lab_run *run)
{
    const struct timespec pause = {.tv_sec = run->interval / 1000,
                                   .tv_nsec = (long)(run->interval % 1000) * 1000000};
    unsigned answered = 0;
    sigset_t signals;
    int result;

    /* A round is finished before the program ends: signals are looked at between rounds. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    printf("CAs for tests and demonstrations, not for the field: %s\n", run->lab.dir);
    do {
        result = lab_eca_round(run, &answered);
        if (result == APP_OK)
            result = lab_pca_round(run, &answered);
        fflush(stdout);
    } while (result == APP_OK && !run->once && sigtimedwait(&signals, NULL, &pause) < 0);
    printf("%u request%s answered\n", answered, answered == 1 ? "" : "s");
    return result;
}

/* ---- options ---- */

static int parse_kind(const char *option, const char *text, bool *explicit_kind)
{
    *explicit_kind = strcmp(text, "explicit") == 0;
    if (*explicit_kind || strcmp(text, "implicit") == 0)
        return APP_OK;
    app_error("--%s: \"%s\" is neither explicit nor implicit", option, text);
    return command_usage();
}

static int parse_interval(const char *text, unsigned *interval)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value == 0 || value > 3600000) {
        app_error("--interval: \"%s\" is not from 1 to 3600000 milliseconds", text);
        return command_usage();
    }
    *interval = (unsigned)value;
    return APP_OK;
}

int lab_run(int argc, char **argv)
{
    static const struct option options[] = {{"once", no_argument, NULL, 'o'},
                                            {"interval", required_argument, NULL, 'i'},
                                            {"enrollment", required_argument, NULL, 'e'},
                                            {"application", required_argument, NULL, 'a'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct lab_run run = {.interval = 500, .lock = -1};
    bool explicit_application = true;
    int c, result = APP_OK;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'o':
            run.once = true;
            break;
        case 'i':
            result = parse_interval(optarg, &run.interval);
            break;
        case 'e':
            result = parse_kind("enrollment", optarg, &run.explicit_enrollment);
            break;
        case 'a':
            result = parse_kind("application", optarg, &explicit_application);
            break;
        case 'h':
            fputs(usage, stdout);
            return APP_OK;
        default:
            return command_usage();
        }
        if (result != APP_OK)
            return result;
    }
    if (argc - optind != 1) {
        app_error("one DIR is wanted");
        return command_usage();
    }
    run.implicit_application = !explicit_application;
    run.dir_option = argv[optind];
    result = prepare(&run);
    if (result == APP_OK)
        result = loop(&run);
    clear(&run);
    return result;
}
