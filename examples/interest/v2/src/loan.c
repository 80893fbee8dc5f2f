/* Instalments of a loan: one JSON request per line on stdin, one JSON answer per line on stdout, until stdin ends.
 * It reads any JSON, keeps what it knows by name, and answers {"error": ...} to what is no request. */

#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 32, NAME = 32 };

typedef struct {
    double *values;
    size_t count, room;
} Column;

typedef struct {
    Column principal, annual_rate, months;
    double grace_months;
    bool in_advance;
} Request;

typedef struct {
    const char *at;    /* the next character */
    const char *wrong; /* why reading stopped, or NULL */
} Reader;

static bool fail(Reader *in, const char *wrong) {
    if (!in->wrong) in->wrong = wrong;
    return false;
}

static char next(Reader *in) {
    in->at += strspn(in->at, " \t\r\n");
    return *in->at;
}

static bool took(Reader *in, char wanted) {
    if (next(in) != wanted) return false;
    in->at++;
    return true;
}

/* A string; what does not fit into `text` is read and cut, for no name that matters is that long. */
static bool read_string(Reader *in, char text[NAME]) {
    size_t length = 0;
    if (!took(in, '"')) return fail(in, "a string was expected");
    for (; *in->at && *in->at != '"'; in->at++) {
        if (*in->at == '\\' && !*++in->at) break;
        if (length + 1 < NAME) text[length++] = *in->at;
    }
    text[length] = '\0';
    return took(in, '"') || fail(in, "a string has no end");
}

static bool read_number(Reader *in, double *value) {
    char first = next(in), *end;
    if (first != '-' && (first < '0' || first > '9')) return fail(in, "a number was expected");
    *value = strtod(in->at, &end);
    in->at = end;
    return isfinite(*value) || fail(in, "a number is too large");
}

static bool read_column(Reader *in, Column *column) {
    column->count = 0;
    if (!took(in, '[')) return fail(in, "a list was expected");
    if (took(in, ']')) return true;
    do {
        if (column->count == column->room) {
            column->room = column->room ? 2 * column->room : 64;
            column->values = realloc(column->values, column->room * sizeof *column->values);
            if (!column->values) abort();
        }
        if (!read_number(in, &column->values[column->count])) return false;
        column->count++;
    } while (took(in, ','));
    return took(in, ']') || fail(in, "a list has no end");
}

static bool read_bool(Reader *in, bool *value) {
    next(in);
    *value = !strncmp(in->at, "true", 4);
    if (!*value && strncmp(in->at, "false", 5)) return fail(in, "true or false was expected");
    in->at += *value ? 4 : 5;
    return true;
}

/* Any value; in an object, the names that matter go to `request`. */
static bool read_value(Reader *in, Request *request, int depth) {
    char name[NAME];
    double number;
    if (depth > DEEPEST) return fail(in, "it is nested too deeply");
    if (took(in, '{')) {
        if (took(in, '}')) return true;
        do {
            bool good = read_string(in, name) && (took(in, ':') || fail(in, "a name has no value"));
            if (!good) return false;
            if (!strcmp(name, "principal")) good = read_column(in, &request->principal);
            else if (!strcmp(name, "annual_rate")) good = read_column(in, &request->annual_rate);
            else if (!strcmp(name, "months")) good = read_column(in, &request->months);
            else if (!strcmp(name, "grace_months")) good = read_number(in, &request->grace_months);
            else if (!strcmp(name, "in_advance")) good = read_bool(in, &request->in_advance);
            else good = read_value(in, request, depth + 1);
            if (!good) return false;
        } while (took(in, ','));
        return took(in, '}') || fail(in, "an object has no end");
    }
    if (took(in, '[')) {
        if (took(in, ']')) return true;
        do {
            if (!read_value(in, request, depth + 1)) return false;
        } while (took(in, ','));
        return took(in, ']') || fail(in, "a list has no end");
    }
    switch (next(in)) {
    case '"': return read_string(in, name);
    case 't': case 'f': return read_bool(in, &(bool){0});
    case 'n': return strncmp(in->at, "null", 4) ? fail(in, "it is not JSON") : (in->at += 4, true);
    default: return read_number(in, &number);
    }
}

/* What is due each month. */
static double payment(double principal, double annual_rate, double months, const Request *request) {
    double rate = annual_rate / 12;
    double owed = principal * pow(1 + rate, request->grace_months);
    double share = rate > 0 ? rate / -expm1(-months * log1p(rate)) : 1 / months;
    return owed * share / (request->in_advance ? 1 + rate : 1);
}

static void answer(const Request *request) {
    for (int total = 0; total <= 1; total++) {
        printf(total ? "], \"total_interest\": [" : "{\"outputs\": {\"payment\": [");
        for (size_t row = 0; row < request->principal.count; row++) {
            double principal = request->principal.values[row], months = request->months.values[row];
            double due = payment(principal, request->annual_rate.values[row], months, request);
            printf("%s%.17g", row ? ", " : "", total ? fmax(0, due * months - principal) : due);
        }
    }
    printf("]}}\n");
}

int main(void) {
    Request request = {0};
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) >= 0) {
        Reader in = {line, NULL};
        request.principal.count = request.annual_rate.count = request.months.count = 0;
        request.grace_months = 0;
        request.in_advance = false;
        size_t rows;
        if (next(&in) != '{') fail(&in, "a request is an object");
        else if (read_value(&in, &request, 0) && next(&in)) fail(&in, "something follows the request");
        rows = request.principal.count;
        if (!in.wrong && (!rows || request.annual_rate.count != rows || request.months.count != rows))
            fail(&in, "inputs must be principal, annual_rate and months, equally long");
        if (in.wrong) printf("{\"error\": \"%s\"}\n", in.wrong);
        else answer(&request);
        fflush(stdout);
    }
    return 0;
}
