/* Loaded before everything else, this makes a program's wall clock wrong by as many seconds as WRONG_CLOCK says, or the first line of the file
   that WRONG_CLOCK_FILE names, which may change. The monotonic clock stays right. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t seconds_off(void)
{
    const char *file = getenv("WRONG_CLOCK_FILE");
    const char *given = getenv("WRONG_CLOCK");
    char line[32] = "";
    if (file) {
        int opened = open(file, O_RDONLY | O_CLOEXEC);
        if (opened >= 0) {
            ssize_t length = read(opened, line, sizeof line - 1);
            line[length > 0 ? length : 0] = 0;
            close(opened);
        }
        given = line;
    }
    return given ? atol(given) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += seconds_off();
    return (int)result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
