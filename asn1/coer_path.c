#include "asn1/coer_internal.h"

#include <stdio.h>
#include <string.h>

static const char ellipsis[] = "...";

void coer_path_init(struct coer_path *path)
{
    path->start = sizeof(path->text) - 1;
    path->text[path->start] = '\0';
    path->is_shortened = false;
}

static void path_prepend(struct coer_path *path, const char *text)
{
    size_t length = strlen(text);

    if (path->is_shortened) {
        return;
    }
    if (path->start < length + sizeof(ellipsis) - 1) {
        path->is_shortened = true;
        path->start -= sizeof(ellipsis) - 1;
        memcpy(path->text + path->start, ellipsis, sizeof(ellipsis) - 1);
        return;
    }
    path->start -= length;
    memcpy(path->text + path->start, text, length);
}

void coer_path_field(struct coer_path *path, const char *name)
{
    path_prepend(path, name);
    path_prepend(path, ".");
}

void coer_path_index(struct coer_path *path, size_t index)
{
    char text[32];

    snprintf(text, sizeof(text), "[%zu]", index);
    path_prepend(path, text);
}

void coer_path_finish(struct coer_path *path, const char *root, enum coer_status status,
                      size_t offset, struct coer_error *error)
{
    if (error == NULL) {
        return;
    }
    path_prepend(path, root);
    error->status = status;
    error->offset = offset;
    memcpy(error->path, path->text + path->start, sizeof(path->text) - path->start);
}
