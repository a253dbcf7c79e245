/* The load: opens many WebSocket connections and counts what comes in. For benchmarks on loopback.
 *
 *   load --port 8000 --connections 1000 [--path /ws/a%d] [--origin O] [--cookie C] [--protocol P]
 *        [--first 'text with %d'] [--ready 'text']   a first frame up, and what tells that we are in
 *        [--ack STREAM]                             acknowledges every 32 events or 200 ms
 *        [--deflate]                                offers permessage-deflate
 *        [--stalled 0.25]                           this share never reads, once it is in
 *        [--at-once 256]                            handshakes under way at a time
 *
 * Prints one JSON line when all are in, then obeys lines on stdin, one JSON line each:
 *   begin              counts from here
 *   end EVENTS MS 0|1  waits up to MS until every reader has EVENTS; 1: and says when the last had each
 * It ends when stdin does. An event is whatever carries `"n":NUMBER`, several to a frame if joined;
 * numbers must rise by one from 0, else `disordered` says how often not. A compressed frame is taken
 * for one event unread. Times are CLOCK_MONOTONIC, as Python's monotonic_ns is.
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

enum { READ_BYTES = 256 * 1024, TIMES_MAX = 1 << 20, PER_SOURCE = 20000, ACK_EVENTS = 32 };
enum { ACK_GAP_MS = 60, ACK_LATE_MS = 200 };
enum state { CONNECTING, UPGRADING, GREETING, OPEN, STALLED, GONE };

struct connection {
    int fd;
    enum state state;
    uint32_t events, acked;       /* since begin, of which acknowledged */
    uint32_t next;                /* the number the next event must have */
    uint64_t position, acked_at;  /* of the stream, over the whole life */
    char *rest;                   /* the beginning of a frame that is not whole yet */
    size_t rest_bytes;
};

static struct {
    int port, connections, at_once;
    const char *path, *origin, *cookie, *protocol, *first, *ready, *ack;
    double stalled;
    bool deflate;
} ask = {.at_once = 256, .path = "/ws/a%d"};

static struct connection *all;
static int epoll, begun, in, readers, failed, gone;
static uint64_t frames, events, bytes, acks, disordered, pings;
static uint64_t *last_at;         /* when the last reader had event k */
static uint32_t *had;             /* how many readers had event k */
static char buffer[READ_BYTES];

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

/* The %d of a template replaced by the connection's number; nothing else is interpreted. */
static int fill(char *out, size_t room, const char *template, int number) {
    const char *mark = strstr(template, "%d");
    if (mark == NULL) return snprintf(out, room, "%s", template);
    return snprintf(out, room, "%.*s%d%s", (int)(mark - template), template, number, mark + 2);
}

static void lose(struct connection *c) {
    if (c->state == GONE) return;
    if (c->state == OPEN || c->state == STALLED) {
        gone++;
        if (c->state == OPEN) readers--;
    } else {
        failed++;
    }
    c->state = GONE;
    close(c->fd);
    free(c->rest);
    c->rest = NULL;
}

/* A client's frame is masked; a mask of zero leaves the bytes as they are. */
static void send_frame(struct connection *c, int opcode, const char *data, size_t size) {
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

static void open_next(void) {
    int number = begun++;
    struct connection *c = &all[number];
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int one = 1, small = 4096;
    bool stalls = number < (int)(ask.stalled * ask.connections);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (stalls) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    from.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(number / PER_SOURCE));
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
    to.sin_port = htons((uint16_t)ask.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
    struct epoll_event e = {.events = EPOLLOUT, .data.u32 = (uint32_t)number};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) < 0) die("epoll_ctl");
}

static void upgrade(struct connection *c, int number) {
    char text[2048], path[512];
    int wrong = 0;
    socklen_t size = sizeof wrong;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &wrong, &size);
    if (wrong) { lose(c); return; }
    fill(path, sizeof path, ask.path, number);
    int n = snprintf(text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n", path, ask.port);
    const char *names[] = {"Origin", "Cookie", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"};
    const char *values[] = {ask.origin, ask.cookie, ask.protocol,
        ask.deflate ? "permessage-deflate; client_max_window_bits" : NULL};
    for (int i = 0; i < 4; i++)
        if (values[i]) n += snprintf(text + n, sizeof text - (size_t)n, "%s: %s\r\n", names[i], values[i]);
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    if (write(c->fd, text, (size_t)n) != n) { lose(c); return; }
    c->state = UPGRADING;
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)number};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void enter(struct connection *c, int number) {
    in++;
    if (number < (int)(ask.stalled * ask.connections)) {
        c->state = STALLED;
        epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
    } else {
        c->state = OPEN;
        readers++;
    }
}

static void count_event(struct connection *c, uint64_t at) {
    uint32_t k = c->events++;
    events++;
    c->position++;
    if (k < TIMES_MAX) { last_at[k] = at; had[k]++; }
}

static void acknowledge(struct connection *c, uint64_t at) {
    char text[256];
    int n = snprintf(text, sizeof text, "{\"op\":\"ack\",\"positions\":{\"%s\":%llu}}", ask.ack,
                     (unsigned long long)c->position);
    c->acked = c->events;
    c->acked_at = at;
    acks++;
    send_frame(c, 1, text, (size_t)n);
}

static void take_text(struct connection *c, int number, const char *data, size_t size, uint64_t at) {
    if (c->state == GREETING && (ask.ready == NULL || memmem(data, size, ask.ready, strlen(ask.ready))))
        enter(c, number);
    const char *end = data + size;
    while ((data = memmem(data, (size_t)(end - data), "\"n\":", 4)) != NULL) {
        uint32_t n = 0;
        for (data += 4; data < end && *data >= '0' && *data <= '9'; data++) n = n * 10 + (uint32_t)(*data - '0');
        if (n != c->next) disordered++;
        c->next = n + 1;
        count_event(c, at);
    }
    if (ask.ack && c->state == OPEN && c->events - c->acked >= ACK_EVENTS &&
        at - c->acked_at >= ACK_GAP_MS * 1000000ull)
        acknowledge(c, at);
}

/* One whole frame at `data`, or 0: its size. Server frames are not masked. */
static size_t take_frame(struct connection *c, int number, const char *data, size_t size, uint64_t at) {
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
        send_frame(c, 10, data + head, body);
        break;
    case 10: break;
    case 8: lose(c); break;
    default:
        frames++;
        if (d[0] & 0x40) count_event(c, at);
        else take_text(c, number, data + head, body, at);
    }
    return head + body;
}

static void read_from(struct connection *c, int number) {
    size_t have = c->rest_bytes;
    if (have) memcpy(buffer, c->rest, have);
    ssize_t got = read(c->fd, buffer + have, READ_BYTES - have);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) lose(c);
        return;
    }
    uint64_t at = now_ns();
    bytes += (uint64_t)got;
    have += (size_t)got;
    size_t from = 0;
    if (c->state == UPGRADING) {
        char *end = memmem(buffer, have, "\r\n\r\n", 4);
        if (end == NULL && have < 8192) goto keep;
        if (end == NULL || memcmp(buffer, "HTTP/1.1 101", 12) != 0) { lose(c); return; }
        from = (size_t)(end - buffer) + 4;
        c->state = GREETING;
        if (ask.first) {
            char text[2048];
            int n = fill(text, sizeof text, ask.first, number);
            send_frame(c, 1, text, (size_t)n);
        }
        if (ask.ready == NULL && c->state == GREETING) enter(c, number);
    }
    while (c->state != GONE && from < have) {
        size_t taken = take_frame(c, number, buffer + from, have - from, at);
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
        struct connection *c = &all[ready[i].data.u32];
        if (c->state == CONNECTING) upgrade(c, (int)ready[i].data.u32);
        else if (c->state != GONE && c->state != STALLED) read_from(c, (int)ready[i].data.u32);
    }
    return spoken;
}

static void acknowledge_late(void) {
    static uint64_t looked;
    uint64_t at = now_ns();
    if (ask.ack == NULL || at - looked < ACK_LATE_MS * 1000000ull / 4) return;
    looked = at;
    for (int i = 0; i < ask.connections; i++)
        if (all[i].state == OPEN && all[i].events != all[i].acked &&
            at - all[i].acked_at >= ACK_LATE_MS * 1000000ull)
            acknowledge(&all[i], at);
}

static double cpu_at_begin;

static void begin(void) {
    frames = events = bytes = acks = disordered = pings = 0;
    for (int i = 0; i < ask.connections; i++) all[i].events = all[i].acked = all[i].next = 0;
    memset(last_at, 0, TIMES_MAX * sizeof *last_at);
    memset(had, 0, TIMES_MAX * sizeof *had);
    cpu_at_begin = cpu_s();
    printf("{\"begun\":true,\"readers\":%d}\n", readers);
}

static void end(uint64_t total, int wait_ms, bool times) {
    uint64_t deadline = now_ns() + (uint64_t)wait_ms * 1000000u;
    while (now_ns() < deadline) {
        if (total == 0 || total > TIMES_MAX ? events >= total * (uint64_t)readers
                                            : had[total - 1] >= (uint32_t)readers) break;
        turn(20);
        acknowledge_late();
    }
    for (uint64_t before = events + 1; before != events && now_ns() < deadline;) {
        before = events; /* what came twice comes late */
        turn(20);
    }
    uint32_t least = UINT32_MAX, most = 0;
    for (int i = 0; i < ask.connections; i++)
        if (all[i].state == OPEN) {
            if (all[i].events < least) least = all[i].events;
            if (all[i].events > most) most = all[i].events;
        }
    if (least == UINT32_MAX) least = 0;
    printf("{\"events\":%llu,\"frames\":%llu,\"bytes\":%llu,\"least\":%u,\"most\":%u,\"readers\":%d,"
           "\"gone\":%d,\"disordered\":%llu,\"acks\":%llu,\"pings\":%llu,\"cpu_s\":%.4f",
           (unsigned long long)events, (unsigned long long)frames, (unsigned long long)bytes, least,
           most, readers, gone, (unsigned long long)disordered, (unsigned long long)acks,
           (unsigned long long)pings, cpu_s() - cpu_at_begin);
    if (times) {
        printf(",\"last_ns\":[");
        for (uint64_t k = 0; k < total && k < TIMES_MAX; k++)
            printf("%s%llu", k ? "," : "", (unsigned long long)last_at[k]);
        printf("]");
    }
    printf("}\n");
}

/* Lines on stdin, read without stdio so that none waits unseen in a buffer. */
static bool obey(void) {
    static char line[256];
    static size_t used;
    ssize_t got = read(0, line + used, sizeof line - 1 - used);
    if (got <= 0) return false;
    used += (size_t)got;
    char *end_of_line;
    while ((end_of_line = memchr(line, '\n', used)) != NULL) {
        unsigned long long total;
        int wait_ms, times;
        *end_of_line = 0;
        if (strcmp(line, "begin") == 0) begin();
        else if (sscanf(line, "end %llu %d %d", &total, &wait_ms, &times) == 3) end(total, wait_ms, times);
        else printf("{\"unknown\":true}\n");
        fflush(stdout);
        used -= (size_t)(end_of_line + 1 - line);
        memmove(line, end_of_line + 1, used);
    }
    return used < sizeof line - 1;
}

static void options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--deflate") == 0) { ask.deflate = true; continue; }
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
        else if (strcmp(name, "--stalled") == 0) ask.stalled = atof(value);
        else { fprintf(stderr, "load: unknown option %s\n", name); exit(2); }
        i++;
    }
    if (ask.port <= 0 || ask.connections <= 0) { fprintf(stderr, "load: --port and --connections\n"); exit(2); }
}

int main(int argc, char **argv) {
    options(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    all = calloc((size_t)ask.connections, sizeof *all);
    last_at = calloc(TIMES_MAX, sizeof *last_at);
    had = calloc(TIMES_MAX, sizeof *had);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!all || !last_at || !had || epoll < 0) die("start");

    uint64_t started = now_ns(), deadline = started + 60000000000ull;
    while (in + failed < ask.connections && now_ns() < deadline) {
        while (begun < ask.connections && begun - in - failed < ask.at_once) open_next();
        turn(100);
    }
    double seconds = (double)(now_ns() - started) / 1e9;
    printf("{\"connected\":%d,\"readers\":%d,\"failed\":%d,\"seconds\":%.4f,\"cpu_s\":%.4f}\n", in, readers,
           failed, seconds, cpu_s());
    fflush(stdout);

    struct epoll_event e = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &e) < 0) die("stdin");
    for (;;) {
        if (turn(ask.ack ? 50 : 1000) && !obey()) return 0;
        acknowledge_late();
    }
}
