/* Counts allocations, for `sluice bench`, which loads it into one extra run by LD_PRELOAD.
 *
 * PURPOSE  Every malloc, calloc, realloc and aligned allocation of the process adds one to a
 * counter in the file that SLUICE_BENCH_ALLOCATIONS names (eight octets, mapped), where the
 * benchmark reads it at any time. operator new comes through malloc.
 * THREAD  Any; the counter is atomic. ERRORS  Without the variable, or when the file cannot be
 * mapped, nothing is counted. LIMITS  glibc: its __libc_ names are called.
 * BUGS  What is mapped directly is no allocation.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

static uint64_t before_the_file;
static uint64_t* counter = &before_the_file;

static void count(void) { __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }

__attribute__((constructor)) static void open_counter(void) {
  const char* path = getenv("SLUICE_BENCH_ALLOCATIONS");
  if (path == NULL) return;
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void* mapped = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped != MAP_FAILED) counter = mapped;
}

void* malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

void* calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}

void* realloc(void* block, size_t size) {
  count();
  return __libc_realloc(block, size);
}

void* memalign(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** block, size_t alignment, size_t size) {
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  count();
  void* made = __libc_memalign(alignment, size);
  if (made == NULL) return ENOMEM;
  *block = made;
  return 0;
}
