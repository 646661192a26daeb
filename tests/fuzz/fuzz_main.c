/*
 * fuzz_main.c: a target without libFuzzer, for builds of any compiler: what the target does with
 * every file of the directories, and with each file cut at some places.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The last is the whole file. */
#define CUTS 16

static unsigned replayed;

static bool replay_file(const char *path)
{
    uint8_t buffer[65536];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (file == NULL) {
        perror(path);
        return false;
    }
    size = fread(buffer, 1, sizeof(buffer), file);
    fclose(file);
    for (size_t cut = 0; cut <= CUTS; cut++) {
        size_t length = size * cut / CUTS;
        /* Of the exact size, so that a sanitizer sees a read past the end. */
        uint8_t *data = malloc(length == 0 ? 1 : length);

        if (data == NULL)
            return false;
        memcpy(data, buffer, length);
        LLVMFuzzerTestOneInput(data, length);
        free(data);
    }
    replayed++;
    return true;
}

static bool replay_directory(const char *directory)
{
    DIR *files = opendir(directory);
    struct dirent *entry;
    bool is_right = files != NULL;

    if (files == NULL) {
        perror(directory);
        return false;
    }
    while (is_right && (entry = readdir(files)) != NULL) {
        char path[4096];

        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
            is_right = replay_file(path);
        }
    }
    closedir(files);
    return is_right;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIR...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        if (!replay_directory(argv[i]))
            return 1;
    }
    printf("%u files\n", replayed);
    return replayed == 0;
}
