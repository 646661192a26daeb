/*
 * fuzz_seeds DIR TYPE...: write generated messages of each type to DIR/TYPE/, as a corpus to start
 * from. The types must be those of coer_top_types(), so that no fuzz target is forgotten.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/asn1/generate.h"

#define SEEDS 64
#define SEED_SIZE 2048

static bool is_named(const char *type, char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool write_seed(const char *directory, const char *type, unsigned number,
                       const uint8_t *data, size_t size)
{
    char path[4096];
    FILE *file;
    bool is_written;

    snprintf(path, sizeof(path), "%s/%s/%02u", directory, type, number);
    file = fopen(path, "wb");
    if (file == NULL) {
        return false;
    }
    is_written = fwrite(data, 1, size, file) == size;
    return fclose(file) == 0 && is_written;
}

static bool write_seeds(const char *directory, const asn_TYPE_descriptor_t *type)
{
    char path[4096];
    coer_arena *arena = coer_arena_new();
    unsigned number = 0;
    bool is_right = arena != NULL;

    snprintf(path, sizeof(path), "%s/%s", directory, type->name);
    is_right = is_right && (mkdir(path, 0777) == 0 || errno == EEXIST);
    for (uint64_t seed = 0; is_right && number < SEEDS && seed < 20 * SEEDS; seed++) {
        uint8_t *data = NULL;
        size_t size = 0;
        void *value;

        coer_arena_reset(arena);
        value = generate(arena, type, seed);
        is_right = value != NULL && coer_encode_alloc(type, value, &data, &size, NULL) == COER_OK;
        if (is_right && size <= SEED_SIZE) {
            is_right = write_seed(directory, type->name, number++, data, size);
        }
        free(data);
    }
    coer_arena_free(arena);
    return is_right;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    const asn_TYPE_descriptor_t *const *types = coer_top_types(&count);

    if (argc < 3) {
        fprintf(stderr, "usage: fuzz_seeds DIR TYPE...\n");
        return 2;
    }
    if (mkdir(argv[1], 0777) != 0 && errno != EEXIST) {
        perror(argv[1]);
        return 1;
    }
    if ((size_t)argc - 2 != count) {
        fprintf(stderr, "fuzz_seeds: %d types given, %zu are in coer_top_types()\n", argc - 2,
                count);
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_named(types[i]->name, argv + 2, count)) {
            fprintf(stderr, "fuzz_seeds: %s has no fuzz target\n", types[i]->name);
            return 1;
        }
        if (!write_seeds(argv[1], types[i])) {
            fprintf(stderr, "fuzz_seeds: %s: cannot make or write the seeds\n", types[i]->name);
            return 1;
        }
    }
    return 0;
}
