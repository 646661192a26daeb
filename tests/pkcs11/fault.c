#include "tests/pkcs11/fault.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct shim_state *fault_state;

static int saved_stderr = -1;
static char capture_path[300];

void fault_open(const char *const *tokens)
{
    char path[300];
    int fd;

    lab_open();
    for (; tokens != NULL && *tokens != NULL; tokens++)
        lab_token(*tokens);
    remote_lab_setup();
    unsetenv("SHIM_SOCKET");
    remote_shimctl("create", NULL, NULL, NULL);
    snprintf(path, sizeof path, "%s/server.state", lab_dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    fault_state = mmap(NULL, sizeof *fault_state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(fault_state != MAP_FAILED);
    close(fd);
    setenv("SHIM_STATE", path, 1);
    setenv("SHIM_MODULE", LAB_MODULE, 1);
    setenv("SHIM_PIN", LAB_PIN, 1);
}

p11_ctx *fault_ctx(void (*change)(struct p11_config *config))
{
    return remote_ctx(change);
}

void fault_quick(struct p11_config *config)
{
    config->deadline_ms = 500;
    config->key_copy = P11_NO;
}

int fault_key_setup(void **state)
{
    p11_ctx *ctx = fault_ctx(NULL);

    (void)state;
    p11_key_free(lab_key(ctx, "key", P11_CURVE_P256, P11_USAGE_SIGN));
    p11_ctx_free(ctx);
    return 0;
}

uint64_t fault_calls(enum shim_function function)
{
    return atomic_load(&fault_state->entry[function].calls);
}

uint64_t fault_all_calls(void)
{
    uint64_t all = 0;

    for (int i = 0; i < SHIM_COUNT; i++)
        all += fault_calls((enum shim_function)i);
    return all;
}

void fault_reset(void)
{
    for (int i = 0; i < SHIM_COUNT; i++)
        atomic_store(&fault_state->entry[i].calls, 0);
    atomic_store(&fault_state->sessions_max, atomic_load(&fault_state->sessions));
}

void fault_fail(enum shim_function function, CK_RV rv, int64_t times)
{
    atomic_store(&fault_state->entry[function].fail_value, rv);
    atomic_store(&fault_state->entry[function].fail_count, times);
}

void fault_delay(enum shim_function function, unsigned ms)
{
    atomic_store(&fault_state->entry[function].delay_us, (uint64_t)ms * 1000);
}

void fault_signs(p11_key *key)
{
    ERR_clear_error(); /* SoftHSM leaves some when a test calls it by itself */
    lab_signs(key);
}

enum p11_status fault_refused(p11_key *key)
{
    enum p11_status status = lab_sign(key);

    assert_int_not_equal(status, P11_OK);
    assert_int_equal(lab_last_error(), status);
    return status;
}

void fault_sleep(unsigned ms)
{
    const struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

void fault_capture(void)
{
    int fd;

    snprintf(capture_path, sizeof capture_path, "%s/stderr", lab_dir);
    fflush(stderr);
    saved_stderr = dup(2);
    fd = open(capture_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    assert_true(saved_stderr >= 0 && fd >= 0);
    assert_int_equal(dup2(fd, 2), 2);
    close(fd);
}

const char *fault_captured(void)
{
    static char text[65536];
    FILE *file = fopen(capture_path, "r");
    size_t size;

    assert_non_null(file);
    size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    return text;
}

void fault_release(void)
{
    fflush(stderr);
    assert_int_equal(dup2(saved_stderr, 2), 2);
    close(saved_stderr);
}
