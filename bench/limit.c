/* The limit: what one write() per socket costs, with nothing above it. For benchmarks on loopback.
 *
 *   limit PORT SNDBUF    SNDBUF 0 leaves the kernel's own
 *
 * Accepts WebSocket connections and obeys the lines of servers/driver.py on stdin: flood, pace and
 * push, with the same replies. Events of one burst are joined into one write where `join` is 1, else
 * written one by one. A socket that has no room for a whole frame within a second is closed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
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

enum { ROOM_WAIT_MS = 1000, CONNECTIONS_MAX = 65536, BURST_BYTES = 1 << 20, TIMES_MAX = 65536 };

/* The answer to the one key that load.c sends. */
static const char ANSWER[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static int epoll, door, sndbuf, count;
static int sockets[CONNECTIONS_MAX], upgraded[CONNECTIONS_MAX];
static char burst_frames[BURST_BYTES];
static uint64_t sent_at[TIMES_MAX];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void lose(int fd) {
    for (int i = 0; i < count; i++)
        if (sockets[i] == fd) { sockets[i] = sockets[--count]; break; }
    close(fd);
}

/* One event of `size` bytes of JSON, framed; `n` and `at` as every server under test has them. */
static size_t put_event(char *out, uint32_t n, uint64_t at, size_t size) {
    char text[256];
    int head = snprintf(text, sizeof text, "{\"type\":\"new_message\",\"n\":%u,\"at\":%llu,\"body\":\"", n,
                        (unsigned long long)at);
    if (size < (size_t)head + 2) size = (size_t)head + 2;
    char *begin = out;
    *out++ = (char)0x81;
    if (size < 126) {
        *out++ = (char)size;
    } else {
        *out++ = 126;
        *out++ = (char)(size >> 8);
        *out++ = (char)size;
    }
    memcpy(out, text, (size_t)head);
    memset(out + head, 'x', size - (size_t)head - 2);
    memcpy(out + size - 2, "\"}", 2);
    return (size_t)(out - begin) + size;
}

/* One write(), as a rule. A peer that was not let run for a while gets a second to make room. */
static bool put_whole(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t put = write(fd, data, size);
        if (put < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            if (poll(&ready, 1, ROOM_WAIT_MS) <= 0) return false;
            continue;
        }
        if (put <= 0) return false;
        data += put;
        size -= (size_t)put;
    }
    return true;
}

static void write_all(const char *data, size_t size) {
    for (int i = 0; i < count;) {
        if (put_whole(sockets[i], data, size)) i++;
        else lose(sockets[i]);
    }
}

static void broadcast(uint32_t first, int burst, size_t size, bool join) {
    size_t used = 0;
    for (int k = 0; k < burst; k++) {
        uint64_t at = now_ns();
        if (first + (uint32_t)k < TIMES_MAX) sent_at[first + (uint32_t)k] = at;
        used += put_event(burst_frames + used, first + (uint32_t)k, at, size);
        if (!join || used + size + 16 > BURST_BYTES || k == burst - 1) {
            write_all(burst_frames, used);
            used = 0;
        }
    }
}

static void take(int fd) {
    char data[65536];
    ssize_t got = read(fd, data, sizeof data);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) lose(fd);
        return;
    }
    if (fd < CONNECTIONS_MAX && !upgraded[fd]) {
        upgraded[fd] = 1;
        sockets[count++] = fd;
        if (write(fd, ANSWER, sizeof ANSWER - 1) < 0) lose(fd);
    }
}

static bool obey(void);

static void turn(int wait_ms) {
    struct epoll_event ready[512];
    int n = epoll_wait(epoll, ready, 512, wait_ms);
    for (int i = 0; i < n; i++) {
        int fd = ready[i].data.fd;
        if (fd == 0) { if (!obey()) exit(0); }
        else if (fd != door) take(fd);
        else
            for (int peer; (peer = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                if (peer >= CONNECTIONS_MAX) { close(peer); continue; }
                int one = 1;
                setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                upgraded[peer] = 0;
                struct epoll_event e = {.events = EPOLLIN, .data.fd = peer};
                epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &e);
            }
    }
}

static void run(double seconds, double per_s, int burst, size_t size, bool join) {
    uint64_t began = now_ns(), end = began + (uint64_t)(seconds * 1e9), next = began;
    uint32_t n = 0;
    while (now_ns() < end) {
        broadcast(n, burst, size, join);
        n += (uint32_t)burst;
        if (per_s > 0) {
            next += (uint64_t)(1e9 / per_s);
            for (uint64_t at; (at = now_ns()) < next && next < end;) turn((int)((next - at) / 1000000u) + 1);
            if (next >= end) break;
        } else {
            turn(0);
        }
    }
    printf("{\"events\":%u,\"seconds\":%.6f,\"at\":[", n, (double)(now_ns() - began) / 1e9);
    if (per_s > 0)
        for (uint32_t k = 0; k < n && k < TIMES_MAX; k++)
            printf("%s%llu", k ? "," : "", (unsigned long long)sent_at[k]);
    printf("]}\n");
    fflush(stdout);
}

/* Each event to one of the sockets, whichever. */
static void push(double seconds, size_t size) {
    uint64_t began = now_ns(), end = began + (uint64_t)(seconds * 1e9);
    uint32_t n = 0;
    while (now_ns() < end && count > 0) {
        for (int k = 0; k < 20 && count > 0; k++, n++) {
            int fd = sockets[rand() % count];
            size_t used = put_event(burst_frames, n, now_ns(), size);
            if (!put_whole(fd, burst_frames, used)) lose(fd);
        }
        turn(0);
    }
    printf("{\"events\":%u,\"seconds\":%.6f,\"at\":[]}\n", n, (double)(now_ns() - began) / 1e9);
    fflush(stdout);
}

static bool obey(void) {
    char line[256];
    ssize_t got = read(0, line, sizeof line - 1);
    if (got <= 0) return false;
    line[got] = 0;
    double seconds, per_s = 0;
    int burst, size, join = 0;
    if (sscanf(line, "flood %lf %d %d %d", &seconds, &burst, &size, &join) >= 3 ||
        sscanf(line, "pace %lf %lf %d %d %d", &seconds, &per_s, &burst, &size, &join) >= 4)
        run(seconds, per_s, burst, (size_t)size, join);
    else if (sscanf(line, "push %lf %d", &seconds, &size) == 2)
        push(seconds, (size_t)size);
    else {
        printf("{\"unknown\":\"%.40s\"}\n", strtok(line, "\n"));
        fflush(stdout);
    }
    return true;
}

int main(int argc, char **argv) {
    if (argc != 3) { fprintf(stderr, "limit: PORT SNDBUF\n"); return 2; }
    sndbuf = atoi(argv[2]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int one = 1;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    epoll = epoll_create1(0);
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (sndbuf) setsockopt(door, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    if (bind(door, (struct sockaddr *)&here, sizeof here) < 0 || listen(door, 4096) < 0) die("listen");
    socklen_t size = sizeof here;
    getsockname(door, (struct sockaddr *)&here, &size);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = door}, in = {.events = EPOLLIN, .data.fd = 0};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, door, &e) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &in) < 0) die("epoll");
    printf("{\"port\":%d}\n", ntohs(here.sin_port));
    fflush(stdout);
    for (;;) turn(-1);
}
