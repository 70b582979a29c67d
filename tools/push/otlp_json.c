#include "otlp.h"

#include "must.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/*
 * The mapping of protocol buffers to JSON, as OTLP/HTTP wants it: names in lowerCamelCase, 64-bit
 * integers as texts, enumerations as numbers, and bytes (identifiers of traces) in hexadecimal.
 */

static json_t *of_message(const ProtobufCMessage *m);

static json_t *of_bytes(const ProtobufCBinaryData *b)
{
    char *text = must(malloc(2 * b->len + 1));
    json_t *value;

    text[0] = '\0';
    for (size_t i = 0; i < b->len; i++) {
        sprintf(text + 2 * i, "%02x", b->data[i]);
    }
    value = json_string(text);
    free(text);
    return must(value);
}

static json_t *of_long(uint64_t value, bool is_signed)
{
    char text[24];

    snprintf(text, sizeof(text), is_signed ? "%" PRId64 : "%" PRIu64, value);
    return must(json_string(text));
}

/* One value of a field, which is at `at`. */
static json_t *of_value(const ProtobufCFieldDescriptor *f, const void *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return of_long(*(const uint64_t *)at,
            f->type != PROTOBUF_C_TYPE_UINT64 && f->type != PROTOBUF_C_TYPE_FIXED64);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return must(json_integer(*(const uint32_t *)at));
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        return must(json_integer(*(const int32_t *)at));
    case PROTOBUF_C_TYPE_FLOAT:
        return must(json_real(*(const float *)at));
    case PROTOBUF_C_TYPE_DOUBLE:
        return must(json_real(*(const double *)at));
    case PROTOBUF_C_TYPE_BOOL:
        return must(json_boolean(*(const protobuf_c_boolean *)at));
    case PROTOBUF_C_TYPE_STRING:
        return must(json_string(*(char *const *)at));
    case PROTOBUF_C_TYPE_BYTES:
        return of_bytes(at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return of_message(*(const ProtobufCMessage *const *)at);
    }
    return NULL;
}

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_BOOL:
        return 4;
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 8; /* and pointers */
    }
}

static json_t *of_array(const ProtobufCFieldDescriptor *f, const char *at, size_t count)
{
    json_t *array = must(json_array());

    for (size_t i = 0; i < count; i++) {
        json_array_append_new(array, of_value(f, at + i * size_of(f->type)));
    }
    return array;
}

/* Whether a field that is no list is written: what has the value that it has anyway is not. */
static bool is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const char *at = (const char *)m + f->offset;
    static const char zeros[sizeof(ProtobufCBinaryData)];

    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return *(const uint32_t *)((const char *)m + f->quantifier_offset) == f->id;
    }
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        return *(void *const *)at != NULL;
    }
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        return *(char *const *)at != NULL && (*(char *const *)at)[0] != '\0';
    }
    return memcmp(at, zeros, size_of(f->type)) != 0;
}

static void make_camel(const char *name, char *ret, size_t size)
{
    size_t n = 0;

    for (; *name != '\0' && n + 1 < size; name++) {
        bool is_next = *name == '_' && name[1] >= 'a' && name[1] <= 'z';

        ret[n++] = is_next ? (char)(*++name - 'a' + 'A') : *name;
    }
    ret[n] = '\0';
}

static json_t *of_message(const ProtobufCMessage *m)
{
    json_t *object = must(json_object());
    char name[64];

    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *at = (const char *)m + f->offset;
        json_t *value = NULL;

        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)((const char *)m + f->quantifier_offset);

            value = count != 0 ? of_array(f, *(const char *const *)at, count) : NULL;
        } else if (is_set(m, f)) {
            value = of_value(f, at);
        }
        if (value != NULL) {
            make_camel(f->name, name, sizeof(name));
            json_object_set_new_nocheck(object, name, value);
        }
    }
    return object;
}

char *otlp_json(const ProtobufCMessage *m, size_t *ret_bytes)
{
    json_t *value = of_message(m);
    char *text = must(json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17)));

    json_decref(value);
    *ret_bytes = strlen(text);
    return text;
}

char *otlp_protobuf(const ProtobufCMessage *m, size_t *ret_bytes)
{
    *ret_bytes = protobuf_c_message_get_packed_size(m);
    {
        uint8_t *data = must(malloc(*ret_bytes + 1));

        protobuf_c_message_pack(m, data);
        return (char *)data;
    }
}
