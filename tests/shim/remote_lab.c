#include "tests/shim/remote_lab.h"

#include <dlfcn.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

char remote_module[512];
char remote_socket[300];
pid_t remote_server;

static char tools[400];
static void (*further)(struct p11_config *config);

void remote_lab_setup(void)
{
    const char *build = getenv("BUILD_DIR");

    assert_non_null(build);
    snprintf(tools, sizeof tools, "%s/tests", build);
    snprintf(remote_module, sizeof remote_module, "%s/p11shim.so", tools);
    snprintf(remote_socket, sizeof remote_socket, "%s/shim.sock", lab_dir);
    assert_int_equal(setenv("SHIM_SOCKET", remote_socket, 1), 0);
}

pid_t remote_start(const char *module)
{
    const struct timespec pause = {0, 10000000};
    char program[512];
    char *argv[] = {program, remote_socket, (char *)(uintptr_t)module, NULL};
    pid_t pid = -1;

    snprintf(program, sizeof program, "%s/p11shimd", tools);
    (void)unlink(remote_socket);
    assert_int_equal(posix_spawn(&pid, program, NULL, NULL, argv, environ), 0);
    for (int i = 0; i < 500 && access(remote_socket, F_OK) != 0; i++)
        nanosleep(&pause, NULL);
    /* The file is there between bind() and listen(). */
    nanosleep(&pause, NULL);
    return pid;
}

void remote_stop(pid_t pid, int signal)
{
    assert_int_equal(kill(pid, signal), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int remote_setup(void **state)
{
    (void)state;
    lab_open();
    remote_lab_setup();
    remote_server = remote_start(LAB_MODULE);
    return 0;
}

int remote_teardown(void **state)
{
    (void)state;
    remote_stop(remote_server, SIGTERM);
    lab_close();
    return 0;
}

unsigned remote_children(pid_t pid)
{
    char path[100];
    unsigned count = 0;
    int child;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fscanf(file, "%d", &child) == 1)
        count++;
    fclose(file);
    return count;
}

void remote_shimctl(const char *verb, const char *a, const char *b, const char *c)
{
    char program[512], state[512];
    const char *argv[] = {program, state, verb, a, b, c, NULL};

    snprintf(program, sizeof program, "%s/shimctl", tools);
    snprintf(state, sizeof state, "%s/server.state", lab_dir);
    assert_int_equal(lab_run(argv), 0);
}

static void through_shim(struct p11_config *config)
{
    config->module_path = remote_module;
    if (further != NULL)
        further(config);
}

p11_ctx *remote_ctx(void (*change)(struct p11_config *config))
{
    further = change;
    return lab_ctx(through_shim);
}

CK_FUNCTION_LIST *remote_cryptoki(void)
{
    static CK_FUNCTION_LIST *functions;
    CK_C_GetFunctionList get = NULL;
    void *handle = NULL;

    if (functions != NULL)
        return functions;
    handle = dlopen(remote_module, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        fail_msg("%s", dlerror());
    *(void **)&get = dlsym(handle, "C_GetFunctionList");
    assert_non_null(get);
    assert_int_equal(get(&functions), CKR_OK);
    return functions;
}
