/*
 * Load generator of `bench directory`: a closed loop over N connections with D requests in flight on each, one thread, epoll. It checks every
 * response (message id, name, content, result code) and ends with 1 at the first wrong one. Prints one line of JSON.
 *
 *   load OP key=value ...        OP: search, add, modify, delete
 *   host, port, pid (of the server: its processor time is told), tls (0|1), bind, password, connections, depth, seconds (0: until done), warm (seconds before measuring), base,
 *   from, count (recipients), seed, key (hex, hashes addresses of added entries)
 *
 * Recipient n is cn=<guid(n)>,<base> with the address user.number<n>@example.org.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum operation { SEARCH, ADD, MODIFY, DELETE };

#define SLOTS 8192
#define IN_BYTES (1 << 18)
#define OUT_BYTES (1 << 20)
/* Histogram: 32 steps an octave of nanoseconds. */
#define STEPS 32
#define BUCKETS (64 * STEPS)

struct slot {
  uint32_t id; /* 0: free */
  uint32_t n;
  uint64_t sent;
  int entries;
};

struct connection {
  int fd;
  SSL *ssl;
  unsigned char *in, *out;
  size_t in_used, out_used, out_sent;
  uint32_t next_id;
  int in_flight;
  int wants_write;
  struct slot slots[SLOTS];
};

static enum operation operation;
static const char *host = "127.0.0.1", *base = "cn=Recipients", *bind_dn = "", *password = "";
static int port, tls, connections = 1, depth = 1, epoll_fd;
static double seconds, warm;
static uint32_t from, count, next_n;
static int pid;
static uint64_t seed = 88172645463325252ull;
static unsigned char key[64];
static size_t key_length;
static uint64_t histogram[BUCKETS], measured, answered, longest;
static int measuring, stopping;

static void fail(const char *format, ...) {
  va_list list;
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fputc('\n', stderr);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* Processor time of all threads of the server, as the kernel counts it. */
static uint64_t cpu_ns(void) {
  char path[300];
  uint64_t sum = 0;
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *tasks = pid == 0 ? NULL : opendir(path);
  if (tasks == NULL) return 0;
  for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, task->d_name);
    FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
    if (file == NULL) continue;
    if (fscanf(file, "%llu", &ns) == 1) sum += ns;
    fclose(file);
  }
  closedir(tasks);
  return sum;
}

static uint64_t random_number(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

/* --- requests --- */

/* Elements are built back to front, so that lengths are known. */
static unsigned char scratch[4096];
static size_t at;

static void put(const void *bytes, size_t length) {
  if (length > at) fail("request too long");
  at -= length;
  memcpy(scratch + at, bytes, length);
}

static void head(unsigned char tag, size_t length) {
  unsigned char octets[4] = {tag};
  size_t used = 1;
  if (length >= 0x100) octets[used++] = 0x82, octets[used++] = (unsigned char)(length >> 8);
  else if (length >= 0x80) octets[used++] = 0x81;
  octets[used++] = (unsigned char)length;
  put(octets, used);
}

static void element(unsigned char tag, const void *bytes, size_t length) {
  put(bytes, length);
  head(tag, length);
}

static void text(unsigned char tag, const char *value) { element(tag, value, strlen(value)); }

static void number(unsigned char tag, uint32_t value) {
  unsigned char octets[5];
  size_t used = 0;
  int shift = 24;
  while (shift > 0 && (value >> (shift - 1)) == 0) shift -= 8;
  for (; shift >= 0; shift -= 8) octets[used++] = (unsigned char)(value >> shift);
  element(tag, octets, used);
}

static size_t mark(void) { return at; }

static void wrap(unsigned char tag, size_t end) { head(tag, end - at); }

static void guid(char *into, uint32_t n) { sprintf(into, "%08x-5eed-4000-8000-%012x", n, n); }

static int name(char *into, uint32_t n) {
  char id[40];
  guid(id, n);
  return sprintf(into, "cn=%s,%s", id, base);
}

static int address(char *into, uint32_t n) { return sprintf(into, "user.number%u@example.org", n); }

static const char *kind(uint32_t n) { return n % 10 == 0 ? "group" : "mailbox"; }

static void attribute(const char *type, const void *value, size_t length) {
  size_t end = mark(), set = mark();
  element(0x04, value, length);
  wrap(0x31, set);
  text(0x04, type);
  wrap(0x30, end);
}

static void search_request(uint32_t n) {
  char value[80];
  size_t end = mark(), part = mark();
  text(0x04, "posternResult");
  wrap(0x30, part);
  part = mark();
  element(0x04, value, (size_t)address(value, n));
  text(0x04, "mail");
  wrap(0xa3, part);
  element(0x01, "\0", 1);
  number(0x02, 10);
  number(0x02, 0);
  number(0x0a, 0);
  number(0x0a, 2);
  text(0x04, base);
  wrap(0x63, end);
}

static void add_request(uint32_t n) {
  char dn[200], id[40], mail[80];
  unsigned char hash[32];
  unsigned hash_length = sizeof hash;
  size_t end = mark(), list = mark();
  guid(id, n);
  HMAC(EVP_sha256(), key, (int)key_length, (unsigned char *)mail, (size_t)address(mail, n), hash, &hash_length);
  attribute("posternRecipientKind", kind(n), strlen(kind(n)));
  attribute("posternAddress", hash, 16);
  attribute("cn", id, strlen(id));
  attribute("objectClass", "posternRecipient", 16);
  wrap(0x30, list);
  element(0x04, dn, (size_t)name(dn, n));
  wrap(0x68, end);
}

static void modify_request(uint32_t n) {
  char dn[200];
  size_t end = mark(), list = mark();
  const char *other = random_number() & 1 ? "contact" : "mailbox";
  size_t change = mark();
  attribute("posternRecipientKind", other, strlen(other));
  number(0x0a, 2);
  wrap(0x30, change);
  wrap(0x30, list);
  element(0x04, dn, (size_t)name(dn, n));
  wrap(0x66, end);
}

static void delete_request(uint32_t n) {
  char dn[200];
  element(0x4a, dn, (size_t)name(dn, n));
}

static void append(struct connection *c, uint32_t id, size_t end) {
  number(0x02, id);
  wrap(0x30, end);
  size_t length = sizeof scratch - at;
  if (c->out_used + length > OUT_BYTES) fail("the server reads too slowly");
  memcpy(c->out + c->out_used, scratch + at, length);
  c->out_used += length;
}

static void issue(struct connection *c) {
  uint32_t n;
  if (operation == SEARCH) n = from + (uint32_t)(random_number() % count);
  else {
    if (next_n == from + count) {
      /* Everything is added or deleted; modifying begins again. */
      if (operation != MODIFY) {
        stopping = 1;
        return;
      }
      next_n = from;
    }
    n = next_n++;
  }
  while (c->slots[c->next_id & (SLOTS - 1)].id != 0) c->next_id++;
  uint32_t id = c->next_id++;
  struct slot *slot = &c->slots[id & (SLOTS - 1)];
  *slot = (struct slot){.id = id, .n = n, .sent = now_ns()};
  at = sizeof scratch;
  size_t end = mark();
  if (operation == SEARCH) search_request(n);
  else if (operation == ADD) add_request(n);
  else if (operation == MODIFY) modify_request(n);
  else delete_request(n);
  append(c, id, end);
  c->in_flight++;
}

/* --- connections --- */

static int io_wait(struct connection *c, int result) {
  if (tls) {
    int error = SSL_get_error(c->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 1;
    ERR_print_errors_fp(stderr);
    fail("the server has ended a TLS connection (%d)", error);
  }
  if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 1;
  fail("the server has ended a connection: %s", result == 0 ? "end" : strerror(errno));
  return 0;
}

static void send_out(struct connection *c) {
  while (c->out_sent < c->out_used) {
    size_t left = c->out_used - c->out_sent;
    int sent = tls ? SSL_write(c->ssl, c->out + c->out_sent, (int)left)
                   : (int)send(c->fd, c->out + c->out_sent, left, MSG_NOSIGNAL);
    if (sent <= 0) {
      io_wait(c, sent);
      break;
    }
    c->out_sent += (size_t)sent;
  }
  if (c->out_sent == c->out_used) c->out_sent = c->out_used = 0;
  else if (c->out_sent > OUT_BYTES / 2) {
    memmove(c->out, c->out + c->out_sent, c->out_used - c->out_sent);
    c->out_used -= c->out_sent;
    c->out_sent = 0;
  }
  int wants = c->out_used > 0;
  if (wants != c->wants_write) {
    c->wants_write = wants;
    struct epoll_event event = {.events = EPOLLIN | (wants ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
  }
}

/* Reads an element's header; returns the start of its content, or NULL when it is not all there. */
static const unsigned char *content(const unsigned char *p, const unsigned char *end, size_t *length) {
  if (end - p < 2) return NULL;
  size_t first = p[1];
  p += 2;
  if (first >= 0x80) {
    size_t octets = first & 0x7f;
    if (octets == 0 || octets > 4) fail("a length of %zu octets", octets);
    if ((size_t)(end - p) < octets) return NULL;
    first = 0;
    while (octets-- > 0) first = first << 8 | *p++;
  }
  *length = first;
  return (size_t)(end - p) < first ? NULL : p;
}

static const unsigned char *need(const unsigned char *p, const unsigned char *end, unsigned char tag, size_t *length) {
  const unsigned char *start = p < end && *p == tag ? content(p, end, length) : NULL;
  if (start == NULL) fail("a response without its element 0x%02x", tag);
  return start;
}

static void record(struct slot *slot) {
  answered++;
  uint64_t t = now_ns();
  if (measuring) {
    uint64_t took = t - slot->sent;
    measured++;
    if (took > longest) longest = took;
    if (took < STEPS) took = STEPS;
    int octave = 63 - __builtin_clzll(took);
    size_t bucket = (size_t)(octave - 5) * STEPS + (took >> (octave - 5)) - STEPS;
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
  }
}

/* One whole message from `p` to `end`. */
static void response(struct connection *c, const unsigned char *p, const unsigned char *end) {
  size_t length;
  const unsigned char *start = need(p, end, 0x02, &length);
  uint32_t id = 0;
  for (size_t i = 0; i < length; i++) id = id << 8 | start[i];
  struct slot *slot = &c->slots[id & (SLOTS - 1)];
  if (id == 0 || slot->id != id) fail("a response to a message %u that is not open", id);
  p = start + length;
  unsigned char tag = *p;
  p = need(p, end, tag, &length);
  end = p + length;
  if (operation == SEARCH && tag == 0x64) {
    char expected[200];
    int expected_length = name(expected, slot->n);
    start = need(p, end, 0x04, &length);
    if (length != (size_t)expected_length || memcmp(start, expected, length) != 0)
      fail("%.*s instead of %s", (int)length, start, expected);
    static const char ok[] = "\x04\x0dposternResult\x31\x04\x04\x02OK";
    if (memmem(start, (size_t)(end - start), ok, sizeof ok - 1) == NULL) fail("%s: no posternResult", expected);
    slot->entries++;
    return;
  }
  static const unsigned char done[] = {[SEARCH] = 0x65, [ADD] = 0x69, [MODIFY] = 0x67, [DELETE] = 0x6b};
  if (tag != done[operation]) fail("an unexpected response 0x%02x", tag);
  start = need(p, end, 0x0a, &length);
  if (length != 1 || *start != 0) {
    const unsigned char *matched = need(start + length, end, 0x04, &length);
    const unsigned char *text_start = need(matched + length, end, 0x04, &length);
    fail("recipient %u: result %u %.*s", slot->n, *start, (int)length, text_start);
  }
  if (operation == SEARCH && slot->entries != 1) fail("recipient %u: %d entries", slot->n, slot->entries);
  record(slot);
  slot->id = 0;
  c->in_flight--;
  if (!stopping) issue(c);
}

static void read_in(struct connection *c) {
  for (;;) {
    int got = tls ? SSL_read(c->ssl, c->in + c->in_used, (int)(IN_BYTES - c->in_used))
                  : (int)recv(c->fd, c->in + c->in_used, IN_BYTES - c->in_used, 0);
    if (got <= 0) {
      io_wait(c, got);
      break;
    }
    c->in_used += (size_t)got;
    const unsigned char *p = c->in, *end = c->in + c->in_used;
    while (p < end) {
      size_t length;
      if (*p != 0x30) fail("not an LDAP message");
      const unsigned char *start = content(p, end, &length);
      if (start == NULL) break;
      response(c, start, start + length);
      p = start + length;
    }
    c->in_used = (size_t)(end - p);
    if (c->in_used > 0) memmove(c->in, p, c->in_used);
    if (!tls) break;
  }
}

static void wait_for_bind(struct connection *c) {
  at = sizeof scratch;
  size_t end = mark(), body = mark();
  text(0x80, password);
  text(0x04, bind_dn);
  number(0x02, 3);
  wrap(0x60, body);
  append(c, 1, end);
  if ((tls ? SSL_write(c->ssl, c->out, (int)c->out_used) : (int)send(c->fd, c->out, c->out_used, 0)) <= 0) fail("no bind");
  c->out_used = 0;
  int got = tls ? SSL_read(c->ssl, c->in, 200) : (int)recv(c->fd, c->in, 200, 0);
  if (got < 10 || c->in[5] != 0x61 || c->in[9] != 0) fail("bind refused");
}

static struct connection *open_connection(SSL_CTX *context) {
  struct connection *c = calloc(1, sizeof *c);
  c->in = malloc(IN_BYTES);
  c->out = malloc(OUT_BYTES);
  c->next_id = 2;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, host, &to.sin_addr);
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) fail("connect: %s", strerror(errno));
  if (tls) {
    c->ssl = SSL_new(context);
    SSL_set_fd(c->ssl, c->fd);
    if (SSL_connect(c->ssl) != 1) fail("no TLS");
  }
  if (*bind_dn != 0) wait_for_bind(c);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
  return c;
}

static double percentile(double share) {
  uint64_t wanted = (uint64_t)((double)measured * share), seen = 0;
  for (size_t i = 0; i < BUCKETS; i++) {
    seen += histogram[i];
    if (seen > wanted) {
      size_t octave = i / STEPS + 5, step = i % STEPS;
      return (double)((uint64_t)(STEPS + step + 1) << (octave - 5)) / 1000;
    }
  }
  return (double)longest / 1000;
}

static void option(char *word) {
  char *value = strchr(word, '=');
  if (value == NULL) fail("not an option: %s", word);
  *value++ = 0;
  if (strcmp(word, "host") == 0) host = value;
  else if (strcmp(word, "pid") == 0) pid = atoi(value);
  else if (strcmp(word, "port") == 0) port = atoi(value);
  else if (strcmp(word, "tls") == 0) tls = atoi(value);
  else if (strcmp(word, "bind") == 0) bind_dn = value;
  else if (strcmp(word, "password") == 0) password = value;
  else if (strcmp(word, "connections") == 0) connections = atoi(value);
  else if (strcmp(word, "depth") == 0) depth = atoi(value);
  else if (strcmp(word, "seconds") == 0) seconds = atof(value);
  else if (strcmp(word, "warm") == 0) warm = atof(value);
  else if (strcmp(word, "base") == 0) base = value;
  else if (strcmp(word, "from") == 0) from = (uint32_t)strtoul(value, NULL, 10);
  else if (strcmp(word, "count") == 0) count = (uint32_t)strtoul(value, NULL, 10);
  else if (strcmp(word, "seed") == 0) seed += strtoull(value, NULL, 10) * 2654435761ull;
  else if (strcmp(word, "key") == 0)
    for (; value[0] != 0 && value[1] != 0 && key_length < sizeof key; value += 2) {
      unsigned octet;
      sscanf(value, "%2x", &octet);
      key[key_length++] = (unsigned char)octet;
    }
  else fail("unknown option: %s", word);
}

int main(int argc, char **argv) {
  static const char *const names[] = {"search", "add", "modify", "delete"};
  if (argc < 2) fail("usage: load search|add|modify|delete key=value...");
  for (operation = SEARCH; operation <= DELETE && strcmp(argv[1], names[operation]) != 0; operation++) continue;
  if (operation > DELETE) fail("no such operation: %s", argv[1]);
  for (int i = 2; i < argc; i++) option(argv[i]);
  if (count == 0) fail("count is missing");
  next_n = from;
  epoll_fd = epoll_create1(0);
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  struct connection **all = calloc((size_t)connections, sizeof *all);
  for (int i = 0; i < connections; i++) all[i] = open_connection(context);
  /* Whoever starts us may want to begin at a moment of his own. */
  printf("ready\n");
  fflush(stdout);
  if (getchar() == EOF) return 1;
  uint64_t began = now_ns(), from_ns = began + (uint64_t)(warm * 1e9), until = 0, ended = 0, cpu = 0;
  if (seconds > 0) until = from_ns + (uint64_t)(seconds * 1e9);
  if (warm == 0) {
    measuring = 1;
    cpu = cpu_ns();
  }
  for (int i = 0; i < connections; i++) {
    for (int d = 0; d < depth && !stopping; d++) issue(all[i]);
    send_out(all[i]);
  }
  for (;;) {
    int busy = 0;
    for (int i = 0; i < connections; i++) busy += all[i]->in_flight;
    if (busy == 0) break;
    struct epoll_event events[64];
    int ready = epoll_wait(epoll_fd, events, 64, 10000);
    if (ready == 0) fail("no answer for ten seconds, %d requests are open", busy);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_in(c);
      send_out(c);
    }
    uint64_t t = now_ns();
    if (!measuring && ended == 0 && t >= from_ns) {
      measuring = 1;
      from_ns = t;
      cpu = cpu_ns();
    }
    if (until != 0 && t >= until && ended == 0) {
      stopping = 1;
      measuring = 0;
      ended = t;
      cpu = cpu_ns() - cpu;
    }
  }
  if (ended == 0) {
    ended = now_ns();
    cpu = cpu_ns() - cpu;
  }
  printf("{\"answered\":%llu,\"measured\":%llu,\"cpuMs\":%.3f,\"seconds\":%.6f,\"p50\":%.2f,\"p99\":%.2f,\"longest\":%.2f}\n",
         (unsigned long long)answered, (unsigned long long)measured, (double)cpu / 1e6, (double)(ended - from_ns) / 1e9, percentile(0.5),
         percentile(0.99), (double)longest / 1000);
  return 0;
}
