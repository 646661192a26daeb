/* cmd_ee_sync.c: dot2hsm ee sync: everything a device does with its RA, as far as it goes now. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/support.h"

#define BACKOFF_MAX 600 /* seconds */
#define WAIT_MAX 86400  /* seconds: then the RA is asked, whatever the clock says */

struct sync {
    struct device device;
    bool wait, dry_run, quiet, assemble;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static int sync_help(void)
{
    printf(
        "Usage: dot2hsm ee sync --config FILE [OPTION]...\n"
        "Gets whatever is missing, stale or due from the RA: policy file, chain file, the RA's\n"
        "certificate, the CRL if there is a crl-url, and the certificates that `provision` in "
        "[ee]\n"
        "names, which are asked for, waited for, downloaded, verified and installed. Application\n"
        "certificates are renewed before they end; batches of pseudonym certificates and\n"
        "identification certificates go on coming.\n"
        "It can be killed at any moment and run again. After 10 failures within 60 minutes it\n"
        "stops until the oldest of them is an hour old.\n\n"
        "      --wait               until the certificates are there, trying again after "
        "failures;\n"
        "                           renewal and the policy's retrieval interval are for a timer\n"
        "      --assemble-key-on-host\n"
        "                           let a key that is to be in the token exist on this host for\n"
        "                           moments, so that it can have an implicit certificate\n"
        "      --dry-run            say what would be done, and contact nobody\n"
        "  -q, --quiet              say nothing but errors\n%s",
        COMMAND_PROVIDER_HELP);
    return APP_OK;
}

static void say(const struct sync *sync, const char *text)
{
    if (sync->quiet)
        return;
    printf("%s\n", text);
    fflush(stdout); /* what it waits for is to be read while it waits */
}

/* ---- the hook ---- */

static int run_hook(struct sync *sync)
{
    struct device *device = &sync->device;
    struct device_state *s = &device->state;
    char changed[64], path[DEVICE_PATH];
    pid_t child;
    int status = 0;

    if (s->changed == 0)
        return APP_OK;
    snprintf(changed, sizeof(changed), "%s%s%s%s%s",
             (s->changed & DEVICE_CERTIFICATE) != 0 ? "certificate " : "",
             (s->changed & DEVICE_PSEUDONYMS) != 0 ? "pseudonym " : "",
             (s->changed & DEVICE_IDENTIFICATIONS) != 0 ? "identification " : "",
             (s->changed & DEVICE_POLICY) != 0 ? "policy " : "",
             (s->changed & DEVICE_CHAIN) != 0 ? "chain " : "");
    changed[strlen(changed) - 1] = '\0';
    if (!sync->quiet)
        printf("changed: %s\n", changed);
    if (device->hook != NULL) {
        fflush(NULL);
        child = fork();
        if (child == 0) {
            signal(SIGPIPE, SIG_DFL); /* ignored by us, and a shell cannot have it back */
            setenv("DOT2HSM_CHANGED", changed, 1);
            setenv("DOT2HSM_STATE_DIR", device->dir, 1);
            if (s->certificate[0] != '\0') {
                setenv("DOT2HSM_CERTIFICATE", device_path(device, s->certificate, path), 1);
                setenv("DOT2HSM_KEY", s->key, 1);
            }
            execl("/bin/sh", "sh", "-c", device->hook, (char *)NULL);
            _exit(127);
        }
        while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
            continue;
        /* It is run again by the next sync. */
        if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            app_error("the hook failed (status %d)", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
            return APP_REFUSED;
        }
    }
    s->changed = 0;
    return device_state_save(device);
}

/* ---- one round ---- */

/* The hook runs after a failure, too, for what has changed before it. */
static int one_round(struct sync *sync, int64_t *due)
{
    struct device *device = &sync->device;
    int code, hook;

    *due = 0;
    device->clock_checked = false;
    code = device_chain_mend(device);
    if (code == APP_OK)
        code = device_load_trust(device);
    if (code == APP_OK)
        code = device_sync_files(device);
    /* The clock has been borne out: what is over can go. */
    if (code == APP_OK)
        code = device_clean(device);
    if (code == APP_OK)
        code = device_check_enrollment(device);
    if (code == APP_OK)
        code = device_policy_version(device);
    if (code == APP_OK)
        code = device_provision(device, due);
    if (code == APP_OK) {
        device->state.last_sync = (int64_t)time(NULL);
        code = device_succeeded(device);
    }
    hook = run_hook(sync);
    return code == APP_OK ? hook : code;
}

/*
 * Seconds until the next try: doubled with each failure, those that are no failures of the RA's and
 * so not in the state among them; and a random half of it.
 */
static int64_t backoff(unsigned failures)
{
    unsigned doublings = failures < 9 ? failures : 9;
    int64_t full = (int64_t)DEVICE_PAUSE << doublings;
    uint8_t octets[4] = {0};
    uint32_t random;

    if (full > BACKOFF_MAX)
        full = BACKOFF_MAX;
    RAND_bytes(octets, sizeof(octets));
    memcpy(&random, octets, sizeof(random));
    return full / 2 + random % (full / 2 + 1) + DEVICE_PAUSE;
}

/*
 * So many seconds, by a clock that nobody sets; until: or until the clock says this, 0 = never.
 * Then a clock that was wrong before and is right now does not keep a certificate waiting, and one
 * that is set back in between does not keep it for longer.
 */
static void wait_for(int64_t seconds, int64_t until)
{
    /* Seconds are whole here: one more, so that it does not end before the clock says so. */
    const int64_t end = device_boot_seconds() + (seconds < WAIT_MAX ? seconds : WAIT_MAX) + 1;
    const struct timespec pause = {0, 100000000};

    do
        nanosleep(&pause, NULL);
    while (!interrupted && device_boot_seconds() < end &&
           (until == 0 || (int64_t)time(NULL) < until));
}

/* What a run that has done all that can be done now ends with. */
static void say_kinds(struct sync *sync)
{
    struct device *device = &sync->device;
    const struct device_batch *batch;
    char text[128], line[400];
    uint32_t now = 0;

    for (int kind = DEVICE_APPLICATION; kind < DEVICE_KINDS; kind++) {
        if (!device->wants[kind] || dot2_time32_now(&now) != DOT2_OK)
            continue;
        if (kind == DEVICE_APPLICATION) {
            device_wants_certificate(device, line, sizeof(line));
            say(sync, line);
            continue;
        }
        batch = device_batch_at(&device->state, (enum device_kind)kind, now);
        device_wants_order(device, (enum device_kind)kind, text, sizeof(text));
        snprintf(line, sizeof(line), "%s certificates: %" PRIu32 " valid now; %s",
                 device_kind_info((enum device_kind)kind)->name, batch != NULL ? batch->count : 0,
                 text);
        say(sync, line);
    }
}

static int run(struct sync *sync)
{
    struct device *device = &sync->device;
    char text[32], line[96];
    int64_t due = 0, seconds;
    unsigned failures = 0;
    int code;

    for (;;) {
        code = one_round(sync, &due);
        if (code == APP_OK && due == 0)
            break;
        if (code != APP_OK &&
            (!sync->wait || code == APP_USAGE || interrupted || device_limit_ends(device) != 0))
            return code;
        failures = code == APP_OK ? 0 : failures + 1;
        seconds =
            code == APP_OK
                ? due - (int64_t)time(NULL)
                : backoff(failures > device->state.in_a_row ? failures : device->state.in_a_row);
        snprintf(line, sizeof(line), "next: %s at %s", code == APP_OK ? "the download" : "a try",
                 command_time(code == APP_OK ? due : (int64_t)time(NULL) + seconds, text));
        say(sync, line);
        if (!sync->wait)
            return APP_OK;
        wait_for(seconds, code == APP_OK ? due : 0);
        if (interrupted) {
            app_error("interrupted");
            return APP_REFUSED;
        }
    }
    say_kinds(sync);
    return APP_OK;
}

static int dry_run(struct sync *sync)
{
    struct device *device = &sync->device;
    const struct device_state *s = &device->state;
    int64_t ends = device_limit_ends(device);
    char why[256], text[32];
    bool wants = false;

    if (ends != 0) {
        printf("Nothing before %s: %d failures within an hour.\n", command_time(ends, text),
               DEVICE_FAILURES);
        return APP_OK;
    }
    printf("Would fetch the policy file (%s), the chain file (%s) and the RA's certificate from "
           "%s.\n",
           s->policy_name[0] != '\0' ? s->policy_name : "none here",
           s->chain_name[0] != '\0' ? s->chain_name : "none here", device->config.ra_url);
    if (device->crl_url != NULL)
        printf("Would fetch the CRL from %s.\n", device->crl_url);
    for (int kind = DEVICE_APPLICATION; kind < DEVICE_KINDS; kind++) {
        if (!device->wants[kind])
            continue;
        device_next_step(device, (enum device_kind)kind, why, sizeof(why), &wants);
        if (wants)
            printf("Would %s.\n", why);
        else if (kind == DEVICE_APPLICATION)
            printf("Would ask for no certificate: %s.\n", why);
        else
            printf("Would ask for no %s certificates: %s.\n",
                   device_kind_info((enum device_kind)kind)->name, why);
    }
    if (s->changed != 0 && device->hook != NULL)
        printf("Would run the hook.\n");
    return APP_OK;
}

static int prepare(struct sync *sync)
{
    struct device *device = &sync->device;
    int code = device_configure(device);

    device->assemble = device->assemble || sync->assemble;
    if (code == APP_OK)
        code = device_check_kinds(device);
    if (code == APP_OK && !sync->dry_run)
        code = device_lock(device);
    if (code == APP_OK)
        code = device_state_load(device);
    if (code == APP_OK)
        code = device_open(device);
    if (code != APP_OK || sync->dry_run)
        return code;
    code = device_clean(device);
    /* Even by a run that the limit stops: else each would take the clock to have been set anew. */
    if (code == APP_OK && device->state.moved && device->state.failure_count > 0)
        code = device_state_save(device);
    return code == APP_OK ? device_open_enrollment(device) : code;
}

int ee_sync_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"wait", no_argument, NULL, 'w'},  {"dry-run", no_argument, NULL, 'n'},
        {"quiet", no_argument, NULL, 'q'}, {"assemble-key-on-host", no_argument, NULL, 'a'},
        COMMAND_PROVIDER_OPTIONS,          {NULL, 0, NULL, 0}};
    struct sigaction action = {.sa_handler = on_signal};
    struct sync sync;
    int option, code;

    memset(&sync, 0, sizeof(sync));
    sync.device.lock = -1;
    while ((option = getopt_long(argc, argv, "q", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return sync_help();
        if (option == 'w')
            sync.wait = true;
        else if (option == 'n')
            sync.dry_run = true;
        else if (option == 'q')
            sync.quiet = true;
        else if (option == 'a')
            sync.assemble = true;
        else if (!command_provider_option(option, optarg, &sync.device.provider))
            return command_usage();
    }
    if (optind < argc) {
        app_error("no operand is wanted");
        return command_usage();
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    code = prepare(&sync);
    if (code == APP_OK)
        code = sync.dry_run ? dry_run(&sync) : run(&sync);
    device_close(&sync.device);
    return code;
}
