/* The load: many WebSocket clients that count what comes in. For benchmarks on loopback.
 *
 *   load --port 8000 --connections 1000 [--path /ws/a%d] [--origin O] [--cookie C] [--protocol P]
 *        [--first TEXT] [--ready TEXT]   a first frame up, and what tells that we are in
 *        [--ack STREAM]                  desk.v1: keeps its place, acknowledges as `hello` asks: each 64 events, 64 KiB or 2 s
 *        [--engine-io]                   Engine.IO 4: greeted before the first frame, answers 2 with 3
 *        [--mark TEXT]                   what stands before an event's number: "n":
 *        [--deflate]                     offers permessage-deflate
 *        [--at-once 256]                 handshakes under way at a time
 *
 * In path, origin, cookie and first frame %d is the client's number, %p the port, and %w the place
 * in the stream: null at first, then what was last received. Prints one JSON line when all are in,
 * then obeys lines on stdin, one JSON line each:
 *   begin [each]       counts from here; `each`: an event goes to one client and not to all
 *   end EVENTS MS 0|1  waits up to MS until every reader has EVENTS (`each`: all together); 1: says
 *                      when the first and the last had each, and how late deliveries were
 *   more COUNT 0|1     further clients; 1: they stop reading once they are in (stalled)
 *   cut FIRST COUNT    resets these connections
 *   back FIRST COUNT WINDOW MS   these dial again within WINDOW ms, from their places; waits up to MS
 *                      until all are in
 *   drain MS           the stalled read what is there, say nothing, and are closed at the end
 * Who is turned away comes again, after what a bye told or about a second. It ends when stdin does.
 * Several events may come in one frame, several desk.v1 frames in one message. Numbers must rise by
 * one from 0 (`each`: must rise), else `disordered` says how often not; a place that is skipped is a
 * gap, one that comes again a repeat. A compressed frame is taken for one event unread. Times are
 * CLOCK_MONOTONIC, as Python's monotonic_ns is.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, TIMES_MAX = 1 << 20, CLIENTS_MAX = 65536, PER_SOURCE = 20000 };
/* As `hello` of desk.v1 asks: soon after a pause, then each 2 s, 64 events or 64 KiB of them. */
enum { ACK_EVENTS = 64, ACK_BYTES = 64 * 1024, ACK_GAP_MS = 60, ACK_LATE_MS = 190, ACK_EVERY_MS = 1950, ARRIVE_MS = 300000 };
enum { RETRY_LOW_MS = 500, RETRY_HIGH_MS = 1500, TURNED_AWAY_MAX = 5, CODES_MAX = 5000, NO_CLOSE_FRAME = 1006 };
enum state { CONNECTING, UPGRADING, GREETING, OPEN, STALLED, DRAINING, GONE };

struct client {
    int fd;
    enum state state;
    bool stalls;                       /* stops reading once it is in */
    uint16_t code, bye;                /* of the close frame and of desk.v1's bye, if they came */
    uint32_t wait_low_ms, wait_high_ms; /* what the bye told to wait */
    uint32_t events, acked;            /* since begin, of which acknowledged */
    uint32_t unacked_bytes;
    uint32_t next;                     /* the number the next event must have */
    uint64_t position;                 /* of the stream */
    uint64_t acked_at, unacked_at;     /* the last ack; the first event that it does not cover */
    bool waits, is_full;               /* to acknowledge: it stands in the one queue, in the other */
    char epoch[24];
    uint64_t wanted_at, due;           /* when it was to come back; when it dials again, 0: not */
    char *rest;                        /* the beginning of a frame that is not whole yet */
    size_t rest_bytes;
};

static struct {
    int port, connections, at_once;
    const char *path, *origin, *cookie, *protocol, *first, *ready, *ack, *mark;
    bool deflate, engine_io;
} ask = {.at_once = 256, .path = "/ws/a%d", .mark = "\"n\":"};

static struct client *all;
static int epoll, clients, readers;
static bool each;                      /* an event goes to one client */
static int under_way, arrived, turned_away; /* of those who are dialling */
static int resets;
static uint32_t refusals[CODES_MAX];   /* by HTTP status, a bye's or a close's code; 0: no answer */
static uint64_t *took;                 /* from when they were to come back until they were in */
static int gone;                       /* who had been in and was closed, since begin */
static uint64_t reads, frames, events, bytes, acks, disordered, gaps, repeats, pings;
static uint32_t codes[CODES_MAX], byes[CODES_MAX];
static bool last_look;            /* only the ends of those who are drained are told */
static int draining;              /* how many of them are still open */
static uint64_t *first_at, *last_at;   /* when the first and the last reader had event n */
static uint32_t *had;                  /* how many readers had event n */
static char buffer[READ_BYTES];

/* --- lateness of every delivery: powers of two in 128 parts each, so within 0.8 % ------------- */

enum { PARTS_LOG = 7, PARTS = 1 << PARTS_LOG, BUCKETS = (64 - PARTS_LOG) * PARTS };
static uint64_t late_counts[BUCKETS], late_total, late_most;

static void count_late(uint64_t ns) {
    int top = ns < PARTS ? PARTS_LOG : 63 - __builtin_clzll(ns);
    int part = (int)(ns >> (top - PARTS_LOG) & (PARTS - 1));
    int bucket = ns < PARTS ? (int)ns : ((top - PARTS_LOG + 1) << PARTS_LOG) + part;
    if (bucket < BUCKETS) late_counts[bucket]++;
    late_total++;
    if (ns > late_most) late_most = ns;
}

static double late_ms(double share) {
    uint64_t rank = (uint64_t)(share * (double)late_total), seen = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        seen += late_counts[bucket];
        if (seen > rank) {
            int shift = (bucket >> PARTS_LOG) ? (bucket >> PARTS_LOG) - 1 : 0;
            uint64_t low = bucket < PARTS ? (uint64_t)bucket : (uint64_t)(PARTS | (bucket & (PARTS - 1))) << shift;
            return ((double)low + (double)(1ull << shift) / 2) / 1e6;
        }
    }
    return (double)late_most / 1e6;
}

/* --- small things ----------------------------------------------------------------------------- */

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint32_t between(uint32_t low, uint32_t high) {
    static uint64_t x = 88172645463325252ull;
    x ^= x << 13; x ^= x >> 7; x ^= x << 17;
    return high > low ? low + (uint32_t)(x % (high - low + 1)) : low;
}

/* A template with %d, %p and %w replaced; nothing else is interpreted. */
static size_t fill(char *out, size_t room, const char *template, const struct client *c) {
    size_t used = 0;
    for (const char *t = template; *t && used + 64 < room; t++) {
        if (*t != '%' || !t[1] || !strchr("dpw", t[1])) { out[used++] = *t; continue; }
        if (*++t == 'd') used += (size_t)sprintf(out + used, "%d", (int)(c - all));
        else if (*t == 'p') used += (size_t)sprintf(out + used, "%d", ask.port);
        else if (!c->epoch[0]) used += (size_t)sprintf(out + used, "null");
        else used += (size_t)sprintf(out + used, "[\"%s\",%llu]", c->epoch, (unsigned long long)c->position);
    }
    out[used] = 0;
    return used;
}

static uint64_t number_at(const char *data, const char *end) {
    uint64_t n = 0;
    for (; data < end && *data >= '0' && *data <= '9'; data++) n = n * 10 + (uint64_t)(*data - '0');
    return n;
}

/* The number behind `name` in a piece of text, 0 if it is not there. */
static uint64_t number_behind(const char *data, size_t size, const char *name) {
    const char *at = memmem(data, size, name, strlen(name));
    return at ? number_at(at + strlen(name), data + size) : 0;
}

/* --- one client ------------------------------------------------------------------------------- */

static void tally(uint32_t *counts, uint16_t code) {
    if (code < CODES_MAX) counts[code]++;
}

/* As a client of the protocol does: it comes again, after what it was told to wait. */
static void turn_away(struct client *c) {
    uint32_t low = c->wait_high_ms ? c->wait_low_ms : RETRY_LOW_MS;
    uint32_t high = c->wait_high_ms ? c->wait_high_ms : RETRY_HIGH_MS;
    under_way--;
    turned_away++;
    tally(refusals, c->bye ? c->bye : c->code);
    c->due = now_ns() + (uint64_t)between(low, high) * 1000000u;
}

static void lose(struct client *c) {
    if (c->state == GONE) return;
    bool was_in = c->state >= OPEN, is_told = !last_look || c->state == DRAINING;
    if (c->state == OPEN) readers--;
    if (c->state == DRAINING) draining--;
    c->state = GONE;
    close(c->fd);
    free(c->rest);
    c->rest = NULL;
    c->rest_bytes = 0;
    if (was_in) {
        gone++;
        if (is_told) tally(codes, c->code ? c->code : NO_CLOSE_FRAME);
        if (is_told && c->bye) tally(byes, c->bye);
    } else {
        turn_away(c);
    }
}

/* A client's frame is masked; a mask of zero leaves the bytes as they are. */
static void send_frame(struct client *c, int opcode, const char *data, size_t size) {
    unsigned char frame[4096];
    size_t head = 2;
    if (size > sizeof frame - 8) die("a frame up is too long");
    frame[0] = (unsigned char)(0x80 | opcode);
    if (size < 126) {
        frame[1] = (unsigned char)(0x80 | size);
    } else {
        frame[1] = 0x80 | 126;
        frame[2] = (unsigned char)(size >> 8);
        frame[3] = (unsigned char)size;
        head = 4;
    }
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, data, size);
    if (write(c->fd, frame, head + 4 + size) != (ssize_t)(head + 4 + size)) lose(c);
}

static void send_first(struct client *c) {
    char text[2048];
    if (ask.first) send_frame(c, 1, text, fill(text, sizeof text, ask.first, c));
}

static void dial(struct client *c) {
    int number = (int)(c - all), one = 1, small = 4096;
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    c->state = CONNECTING;
    c->code = c->bye = 0;
    c->wait_low_ms = c->wait_high_ms = 0;
    c->due = 0;
    under_way++;
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->stalls) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    from.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(number / PER_SOURCE));
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
    to.sin_port = htons((uint16_t)ask.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
    struct epoll_event e = {.events = EPOLLOUT, .data.u32 = (uint32_t)number};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) < 0) die("epoll_ctl");
}

static void upgrade(struct client *c) {
    char text[4096], value[1024];
    int wrong = 0;
    socklen_t size = sizeof wrong;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &wrong, &size);
    if (wrong) { lose(c); return; }
    fill(value, sizeof value, ask.path, c);
    int n = snprintf(text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n", value, ask.port);
    const char *names[] = {"Origin", "Cookie", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"};
    const char *values[] = {ask.origin, ask.cookie, ask.protocol,
        ask.deflate ? "permessage-deflate; client_max_window_bits" : NULL};
    for (int i = 0; i < 4; i++)
        if (values[i]) {
            fill(value, sizeof value, values[i], c);
            n += snprintf(text + n, sizeof text - (size_t)n, "%s: %s\r\n", names[i], value);
        }
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    if (write(c->fd, text, (size_t)n) != n) { lose(c); return; }
    c->state = UPGRADING;
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)(c - all)};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void enter(struct client *c, uint64_t at) {
    took[arrived++] = at > c->wanted_at ? at - c->wanted_at : 0;
    under_way--;
    if (c->stalls) {
        c->state = STALLED;
        epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
    } else {
        c->state = OPEN;
        readers++;
    }
}

/* As our own client does it: 32 events late or 200 ms after the first that is not covered, which is
 * told by a queue in the order of those first ones. */
static struct queue { struct { uint32_t number; uint64_t due; } of[CLIENTS_MAX]; uint32_t first, count; } late, full;

static void enqueue(struct queue *q, struct client *c, uint64_t due) {
    uint32_t place = (q->first + q->count++) % CLIENTS_MAX;
    q->of[place].number = (uint32_t)(c - all);
    q->of[place].due = due;
}

static uint64_t ack_due(const struct client *c) {
    uint64_t soon = c->unacked_at + ACK_LATE_MS * 1000000ull, paced = c->acked_at + ACK_EVERY_MS * 1000000ull;
    return soon > paced ? soon : paced;
}

static void acknowledge(struct client *c, const char *op, uint64_t at) {
    char text[256];
    int n = snprintf(text, sizeof text, "{\"op\":\"%s\",\"positions\":{\"%s\":%llu}}", op, ask.ack,
                     (unsigned long long)c->position);
    c->acked = c->events;
    c->unacked_bytes = 0;
    c->acked_at = at;
    acks++;
    send_frame(c, 1, text, (size_t)n);
}

/* --- what comes in ---------------------------------------------------------------------------- */

static void count_event(struct client *c, uint64_t n, uint64_t at) {
    if (ask.ack && c->events == c->acked) {
        c->unacked_at = at;
        if (!c->waits) { enqueue(&late, c, ack_due(c)); c->waits = true; }
    }
    c->events++;
    events++;
    if (n >= TIMES_MAX) return;
    if (had[n]++ == 0) first_at[n] = at;
    last_at[n] = at;
}

/* Every event in a piece of text: its number and, close behind it, when it was sent. */
static void take_events(struct client *c, const char *data, const char *end, uint64_t at) {
    size_t mark_bytes = strlen(ask.mark);
    while ((data = memmem(data, (size_t)(end - data), ask.mark, mark_bytes)) != NULL) {
        uint64_t n = number_at(data += mark_bytes, end), sent;
        while (data < end && *data >= '0' && *data <= '9') data++;
        if (each ? n < c->next : n != c->next) disordered++;
        c->next = (uint32_t)n + 1;
        count_event(c, n, at);
        for (int i = 0; i < 8 && data < end && (*data < '0' || *data > '9'); i++) data++;
        sent = number_at(data, end);
        if (sent && sent < at) count_late(at - sent);
    }
}

static bool is(const char *data, size_t size, const char *op) {
    size_t n = strlen(op);
    return size > n && memcmp(data, op, n) == 0;
}

/* What a desk.v1 client must heed beside the events themselves. */
static void take_line(struct client *c, const char *data, size_t size, uint64_t at) {
    if (is(data, size, "{\"op\":\"event\"")) {
        uint64_t position = number_behind(data, size, "\"position\":");
        c->unacked_bytes += (uint32_t)size;
        if (position > c->position + 1) gaps++;
        if (position <= c->position) repeats++;
        else c->position = position;
    } else if (is(data, size, "{\"op\":\"watched\"")) {
        const char *epoch = memmem(data, size, "\"epoch\":\"", 9);
        for (size_t i = 0; epoch && i < sizeof c->epoch - 1; i++) {
            c->epoch[i] = epoch[9 + i] == '"' ? 0 : epoch[9 + i];
            if (!c->epoch[i]) break;
        }
        c->position = number_behind(data, size, "\"position\":");
    } else if (is(data, size, "{\"op\":\"ping\"")) {
        pings++;
        if (c->state != DRAINING) acknowledge(c, "pong", at);
    } else if (is(data, size, "{\"op\":\"bye\"")) {
        const char *wait = memmem(data, size, "\"retry_ms\":[", 12), *comma;
        c->bye = (uint16_t)number_behind(data, size, "\"code\":");
        if (wait && (comma = memchr(wait, ',', (size_t)(data + size - wait)))) {
            c->wait_low_ms = (uint32_t)number_at(wait + 12, data + size);
            c->wait_high_ms = (uint32_t)number_at(comma + 1, data + size);
        }
    } else if (is(data, size, "{\"op\":\"reset\"")) {
        resets++; /* nothing follows: what was missed is only in a snapshot, which we cannot read */
        c->epoch[0] = 0;
        lose(c);
    }
}

static void take_text(struct client *c, const char *data, size_t size, uint64_t at) {
    if (ask.engine_io && c->state == GREETING && data[0] == '0') { send_first(c); return; }
    if (ask.engine_io && size == 1 && data[0] == '2') { pings++; send_frame(c, 1, "3", 1); return; }
    const char *end = data + size;
    for (const char *line = data, *next; ask.ack && line < end && c->state != GONE; line = next + 1) {
        next = memchr(line, '\n', (size_t)(end - line));
        if (next == NULL) next = end;
        take_line(c, line, (size_t)(next - line), at);
    }
    if (c->state == GONE) return;
    take_events(c, data, end, at);
    if (c->state == GREETING && (ask.ready == NULL || memmem(data, size, ask.ready, strlen(ask.ready))))
        enter(c, at);
    bool owes = c->events - c->acked >= ACK_EVENTS || (c->events > c->acked && c->unacked_bytes >= ACK_BYTES);
    if (ask.ack && owes && (c->state == OPEN || c->state == GREETING)) {
        if (at - c->acked_at >= ACK_GAP_MS * 1000000ull) acknowledge(c, "ack", at);
        else if (!c->is_full) { enqueue(&full, c, c->acked_at + ACK_GAP_MS * 1000000ull); c->is_full = true; }
    }
}

/* One whole frame at `data`, or 0: its size. Server frames are not masked. */
static size_t take_frame(struct client *c, const char *data, size_t size, uint64_t at) {
    const unsigned char *d = (const unsigned char *)data;
    if (size < 2) return 0;
    size_t head = 2, body = d[1] & 0x7f;
    if (body == 126) {
        if (size < 4) return 0;
        body = (size_t)d[2] << 8 | d[3];
        head = 4;
    } else if (body == 127) {
        if (size < 10) return 0;
        body = 0;
        for (int i = 2; i < 10; i++) body = body << 8 | d[i];
        head = 10;
    }
    if (size < head + body) return 0;
    switch (d[0] & 0x0f) {
    case 9:
        pings++;
        if (c->state != DRAINING) send_frame(c, 10, data + head, body);
        break;
    case 10: break;
    case 8:
        if (body >= 2) c->code = (uint16_t)(d[head] << 8 | d[head + 1]);
        lose(c);
        break;
    default:
        frames++;
        if (d[0] & 0x40) count_event(c, each ? events : c->events, at);
        else take_text(c, data + head, body, at);
    }
    return head + body;
}

static void read_from(struct client *c) {
    size_t have = c->rest_bytes;
    if (have) memcpy(buffer, c->rest, have);
    ssize_t got = read(c->fd, buffer + have, READ_BYTES - have);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) lose(c);
        return;
    }
    uint64_t at = now_ns();
    reads++;
    bytes += (uint64_t)got;
    have += (size_t)got;
    size_t from = 0;
    if (c->state == UPGRADING) {
        char *end = memmem(buffer, have, "\r\n\r\n", 4);
        if (end == NULL && have < 8192) goto keep;
        if (end == NULL || memcmp(buffer, "HTTP/1.1 101", 12) != 0) {
            c->code = (uint16_t)(end && have > 12 ? number_at(buffer + 9, buffer + 12) : 0);
            lose(c);
            return;
        }
        from = (size_t)(end - buffer) + 4;
        c->state = GREETING;
        if (!ask.engine_io) send_first(c);
        if (ask.ready == NULL && c->state == GREETING) enter(c, at);
    }
    while (c->state != GONE && c->state != STALLED && from < have) {
        size_t taken = take_frame(c, buffer + from, have - from, at);
        if (taken == 0) break;
        from += taken;
    }
    if (c->state == GONE) return;
keep:
    if (c->rest_bytes != have - from || have != from) {
        free(c->rest);
        c->rest = NULL;
        c->rest_bytes = have - from;
        if (c->rest_bytes) {
            c->rest = malloc(c->rest_bytes);
            if (c->rest == NULL) die("malloc");
            memcpy(c->rest, buffer + from, c->rest_bytes);
        }
    }
}

static bool turn(int wait_ms) {
    struct epoll_event ready[512];
    int n = epoll_wait(epoll, ready, 512, wait_ms);
    bool spoken = false;
    for (int i = 0; i < n; i++) {
        if (ready[i].data.u32 == UINT32_MAX) { spoken = true; continue; }
        struct client *c = &all[ready[i].data.u32];
        if (c->state == CONNECTING) upgrade(c);
        else if (c->state != GONE && c->state != STALLED) read_from(c);
    }
    return spoken;
}

static struct client *first_due(struct queue *q, uint64_t at) {
    if (q->count == 0 || q->of[q->first].due > at) return NULL;
    struct client *c = &all[q->of[q->first].number];
    q->first = (q->first + 1) % CLIENTS_MAX;
    q->count--;
    return c;
}

static void acknowledge_late(void) {
    uint64_t at = now_ns();
    struct client *c;
    for (uint32_t n = full.count; n > 0 && (c = first_due(&full, at)) != NULL; n--) {
        c->is_full = false;
        if ((c->state == OPEN || c->state == GREETING) && c->events != c->acked) acknowledge(c, "ack", at);
    }
    for (uint32_t n = late.count; n > 0 && (c = first_due(&late, at)) != NULL; n--) {
        c->waits = false;
        if ((c->state != OPEN && c->state != GREETING) || c->events == c->acked) continue;
        if (at >= ack_due(c)) acknowledge(c, "ack", at);
        else { enqueue(&late, c, ack_due(c)); c->waits = true; }
    }
}

static void print_codes(const char *name, const uint32_t *counts) {
    const char *comma = "";
    printf(",\"%s\":{", name);
    for (int code = 0; code < CODES_MAX; code++)
        if (counts[code]) {
            printf("%s\"%d\":%u", comma, code, counts[code]);
            comma = ",";
        }
    printf("}");
}

/* --- coming in -------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void dial_the_due(int first, int count) {
    static uint64_t looked;
    uint64_t at = now_ns();
    if (!turned_away || at - looked < 5000000u) return;
    looked = at;
    for (int i = first; i < first + count; i++)
        if (all[i].state == GONE && all[i].due && all[i].due <= at) dial(&all[i]);
}

/* Dials these, evenly within the window, and turns until all are in, or `ms` are over, or so many
 * were turned away that the door must be shut. Prints what became of them. */
static void arrive(int first, int count, uint64_t window_ns, int at_once, int ms) {
    uint64_t started = now_ns(), deadline = started + (uint64_t)ms * 1000000u;
    double cpu = cpu_s();
    int dialled = 0;
    under_way = arrived = turned_away = resets = 0;
    memset(refusals, 0, sizeof refusals);
    while (arrived < count && turned_away < TURNED_AWAY_MAX * count && now_ns() < deadline) {
        while (dialled < count && under_way < at_once) {
            uint64_t wanted = window_ns ? started + window_ns / (uint64_t)count * (uint64_t)dialled : now_ns();
            if (wanted > now_ns()) break;
            all[first + dialled].wanted_at = wanted;
            dial(&all[first + dialled++]);
        }
        dial_the_due(first, count);
        turn(dialled < count || turned_away ? 1 : 10);
        acknowledge_late();
    }
    double seconds = (double)(now_ns() - started) / 1e9;
    qsort(took, (size_t)arrived, sizeof *took, compare);
    double p50 = arrived ? (double)took[arrived / 2] / 1e6 : 0;
    double p99 = arrived ? (double)took[(int)(0.99 * (arrived - 1))] / 1e6 : 0;
    printf("{\"connected\":%d,\"readers\":%d,\"turned_away\":%d,\"resets\":%d,\"seconds\":%.4f,"
           "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"cpu_s\":%.4f", arrived, readers, turned_away, resets, seconds,
           p50, p99, cpu_s() - cpu);
    print_codes("refusals", refusals);
    printf("}\n");
    fflush(stdout);
}

static void come(int count, bool stalls) {
    int first = clients;
    if (count < 1 || clients + count > CLIENTS_MAX) { printf("{\"unknown\":true}\n"); return; }
    clients += count;
    for (int i = first; i < clients; i++) { all[i].state = GONE; all[i].stalls = stalls; }
    arrive(first, count, 0, ask.at_once, ARRIVE_MS);
}

static void come_back(int first, int count, int window_ms, int ms) {
    if (first < 0 || count < 1 || first + count > clients) { printf("{\"unknown\":true}\n"); return; }
    for (int i = first; i < first + count; i++) all[i].stalls = false;
    arrive(first, count, (uint64_t)window_ms * 1000000u, CLIENTS_MAX, ms);
}

static void cut(int first, int count) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    int n = 0;
    for (int i = first; i < first + count && i < clients; i++) {
        if (all[i].state == GONE) continue;
        setsockopt(all[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        if (all[i].state == OPEN) readers--;
        all[i].state = GONE;
        close(all[i].fd);
        free(all[i].rest);
        all[i].rest = NULL;
        all[i].rest_bytes = 0;
        n++;
    }
    printf("{\"cut\":%d}\n", n);
}

/* --- counting --------------------------------------------------------------------------------- */

static double cpu_at_begin;

static void begin(bool to_one) {
    each = to_one;
    gone = 0;
    reads = frames = events = bytes = acks = disordered = gaps = repeats = pings = 0;
    late_total = late_most = 0;
    for (int i = 0; i < clients; i++) all[i].events = all[i].acked = all[i].next = 0;
    memset(late_counts, 0, sizeof late_counts);
    memset(first_at, 0, TIMES_MAX * sizeof *first_at);
    memset(last_at, 0, TIMES_MAX * sizeof *last_at);
    memset(had, 0, TIMES_MAX * sizeof *had);
    memset(codes, 0, sizeof codes);
    memset(byes, 0, sizeof byes);
    cpu_at_begin = cpu_s();
    printf("{\"begun\":true,\"readers\":%d}\n", readers);
}

static bool is_over(uint64_t total) {
    if (each) return events >= total;
    if (total == 0 || total > TIMES_MAX) return events >= total * (uint64_t)readers;
    return had[total - 1] >= (uint32_t)readers;
}

static void print_times(const char *name, const uint64_t *times, uint64_t total) {
    printf(",\"%s\":[", name);
    for (uint64_t k = 0; k < total && k < TIMES_MAX; k++)
        printf("%s%llu", k ? "," : "", (unsigned long long)times[k]);
    printf("]");
}

static void end(uint64_t total, int wait_ms, bool times) {
    uint64_t deadline = now_ns() + (uint64_t)wait_ms * 1000000u, once = 0;
    while (now_ns() < deadline && !is_over(total)) {
        turn(10);
        acknowledge_late();
    }
    for (uint64_t before = events + 1; before != events && now_ns() < deadline;) {
        before = events; /* what came twice comes late */
        turn(10);
    }
    uint32_t least = UINT32_MAX, most = 0;
    for (int i = 0; i < clients; i++)
        if (all[i].state == OPEN) {
            if (all[i].events < least) least = all[i].events;
            if (all[i].events > most) most = all[i].events;
        }
    if (least == UINT32_MAX) least = 0;
    for (uint64_t n = 0; n < total && n < TIMES_MAX; n++) once += had[n] == 1;
    printf("{\"events\":%llu,\"frames\":%llu,\"reads\":%llu,\"bytes\":%llu,\"least\":%u,\"most\":%u,"
           "\"once\":%llu,\"readers\":%d,"
           "\"gone\":%d,\"disordered\":%llu,\"gaps\":%llu,\"repeats\":%llu,\"acks\":%llu,\"pings\":%llu,\"cpu_s\":%.4f",
           (unsigned long long)events, (unsigned long long)frames, (unsigned long long)reads,
           (unsigned long long)bytes, least, most,
           (unsigned long long)once, readers, gone, (unsigned long long)disordered, (unsigned long long)gaps,
           (unsigned long long)repeats, (unsigned long long)acks, (unsigned long long)pings, cpu_s() - cpu_at_begin);
    print_codes("codes", codes);
    if (times) {
        if (late_total)
            printf(",\"late_p50_ms\":%.3f,\"late_p99_ms\":%.3f,\"late_max_ms\":%.3f", late_ms(0.5), late_ms(0.99),
                   (double)late_most / 1e6);
        print_times("first_ns", first_at, total);
        print_times("last_ns", last_at, total);
    }
    printf("}\n");
}

/* The stalled look at last. What is still open after `wait_ms` we close ourselves. */
static void drain(int wait_ms) {
    uint64_t deadline = now_ns() + (uint64_t)wait_ms * 1000000u, before = events;
    int drained = 0, left = 0;
    memset(codes, 0, sizeof codes);
    memset(byes, 0, sizeof byes);
    for (int i = 0; i < clients; i++)
        if (all[i].state == STALLED) {
            struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
            if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e) < 0) die("epoll_ctl");
            all[i].state = DRAINING;
            drained++;
        }
    draining = drained;
    last_look = true;
    while (draining && now_ns() < deadline) { turn(10); acknowledge_late(); }
    last_look = false;
    int ended = drained - draining;
    printf("{\"stalled\":%d,\"ended\":%d,\"events\":%llu", drained, ended, (unsigned long long)(events - before));
    print_codes("codes", codes);
    print_codes("byes", byes);
    for (int i = 0; i < clients; i++)
        if (all[i].state == DRAINING) { lose(&all[i]); left++; }
    printf(",\"closed_by_us\":%d}\n", left);
}

/* Lines on stdin, read without stdio so that none waits unseen in a buffer. */
static void obey_line(const char *line) {
    unsigned long long total;
    int a, b, c, d;
    if (strcmp(line, "begin") == 0) begin(false);
    else if (strcmp(line, "begin each") == 0) begin(true);
    else if (sscanf(line, "end %llu %d %d", &total, &a, &b) == 3) end(total, a, b);
    else if (sscanf(line, "more %d %d", &a, &b) == 2) come(a, b);
    else if (sscanf(line, "cut %d %d", &a, &b) == 2) cut(a, b);
    else if (sscanf(line, "back %d %d %d %d", &a, &b, &c, &d) == 4) come_back(a, b, c, d);
    else if (sscanf(line, "drain %d", &a) == 1) drain(a);
    else printf("{\"unknown\":true}\n");
    fflush(stdout);
}

static bool obey(void) {
    static char line[256];
    static size_t used;
    ssize_t got = read(0, line + used, sizeof line - 1 - used);
    if (got <= 0) return false;
    used += (size_t)got;
    char *end_of_line;
    while ((end_of_line = memchr(line, '\n', used)) != NULL) {
        *end_of_line = 0;
        obey_line(line);
        used -= (size_t)(end_of_line + 1 - line);
        memmove(line, end_of_line + 1, used);
    }
    return used < sizeof line - 1;
}

static void options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--deflate") == 0) { ask.deflate = true; continue; }
        if (strcmp(name, "--engine-io") == 0) { ask.engine_io = true; continue; }
        if (strcmp(name, "--port") == 0) ask.port = atoi(value);
        else if (strcmp(name, "--connections") == 0) ask.connections = atoi(value);
        else if (strcmp(name, "--at-once") == 0) ask.at_once = atoi(value);
        else if (strcmp(name, "--path") == 0) ask.path = value;
        else if (strcmp(name, "--origin") == 0) ask.origin = value;
        else if (strcmp(name, "--cookie") == 0) ask.cookie = value;
        else if (strcmp(name, "--protocol") == 0) ask.protocol = value;
        else if (strcmp(name, "--first") == 0) ask.first = value;
        else if (strcmp(name, "--ready") == 0) ask.ready = value;
        else if (strcmp(name, "--ack") == 0) ask.ack = value;
        else if (strcmp(name, "--mark") == 0) ask.mark = value;
        else { fprintf(stderr, "load: unknown option %s\n", name); exit(2); }
        i++;
    }
    if (ask.port <= 0 || ask.connections <= 0 || ask.connections > CLIENTS_MAX || ask.at_once <= 0 || !*ask.mark) {
        fprintf(stderr, "load: --port, --connections up to %d\n", CLIENTS_MAX);
        exit(2);
    }
}

int main(int argc, char **argv) {
    options(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    all = calloc(CLIENTS_MAX, sizeof *all);
    took = calloc(CLIENTS_MAX, sizeof *took);
    first_at = calloc(TIMES_MAX, sizeof *first_at);
    last_at = calloc(TIMES_MAX, sizeof *last_at);
    had = calloc(TIMES_MAX, sizeof *had);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!all || !took || !first_at || !last_at || !had || epoll < 0) die("start");
    come(ask.connections, false);

    struct epoll_event e = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &e) < 0) die("stdin");
    for (;;) {
        if (turn(ask.ack ? 10 : 1000) && !obey()) return 0;
        acknowledge_late();
    }
}
