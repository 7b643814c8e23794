/* A paced sound card without hardware, as an alsa-lib plugin: what peers and audiod's ALSA codec are compared on.
 *
 *   pcm_type.carillon_card { lib "/…/libasound_module_pcm_carillon_card.so" }
 *   pcm.!default { type carillon_card dir "/tmp/card" }        # dir: optional, see below
 *
 * Its position is CLOCK_MONOTONIC times the rate from START on, whether anybody comes or not. Playback: frames are
 * gone once the position has passed them; an empty ring is an xrun. Capture: frames are a counter in their first four bytes.
 * A poll wakes when avail_min frames are free, as an interrupt would. With `dir`, every PCM writes what it played to
 * dir/<pid>-<n>.raw and a line for each start, stop and xrun to dir/log.
 *
 *   open ── hw_params ── prepare ──start──► running ──stop──► prepared
 *                           ▲                 │ position beyond the last frame
 *                           └──── prepare ── xrun
 */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct card {
	snd_pcm_ioplug_t io;
	char *dir;
	FILE *played;
	unsigned number;
	bool running;
	uint64_t began_ns;	/* START */
	uint64_t passed;	/* frames the position has passed since */
	size_t frame_bytes;
	snd_pcm_uframes_t avail_min;
	uint32_t counter;
	unsigned xruns;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool plays(const struct card *card)
{
	return card->io.stream == SND_PCM_STREAM_PLAYBACK;
}

static void note(const struct card *card, const char *what)
{
	char name[512];
	FILE *log;

	if (!card->dir)
		return;
	snprintf(name, sizeof name, "%s/log", card->dir);
	log = fopen(name, "ae");
	if (!log)
		return;
	fprintf(log, "%llu %d-%u %s %s passed=%llu rate=%u period=%lu buffer=%lu xruns=%u\n",
		(unsigned long long)now_ns(), getpid(), card->number, plays(card) ? "play" : "record", what,
		(unsigned long long)card->passed, card->io.rate, (unsigned long)card->io.period_size,
		(unsigned long)card->io.buffer_size, card->xruns);
	fclose(log);
}

/* Frames that the position has yet to pass to be where the clock says. */
static uint64_t due(const struct card *card)
{
	return card->running ? (now_ns() - card->began_ns) * card->io.rate / 1000000000u - card->passed : 0;
}

/* Frames that are there to be played, or room for recorded ones. */
static uint64_t there(const struct card *card)
{
	const snd_pcm_ioplug_t *io = &card->io;

	return plays(card) ? io->appl_ptr - io->hw_ptr : io->buffer_size - (io->hw_ptr - io->appl_ptr);
}

static void record(struct card *card, uint8_t *at, uint64_t frames)
{
	size_t room = card->frame_bytes < 4 ? card->frame_bytes : 4;

	memset(at, 0, frames * card->frame_bytes);
	for (uint64_t i = 0; i < frames; i++, card->counter++)
		memcpy(at + i * card->frame_bytes, &card->counter, room);
}

/* The position passes so many frames. */
static void pass(struct card *card, uint64_t frames)
{
	const snd_pcm_channel_area_t *areas = snd_pcm_ioplug_mmap_areas(&card->io);
	uint64_t size = card->io.buffer_size, at = card->io.hw_ptr % size;

	card->passed += frames;
	while (areas && frames) {
		uint64_t part = frames < size - at ? frames : size - at;
		uint8_t *from = (uint8_t *)areas[0].addr + areas[0].first / 8 + at * card->frame_bytes;

		if (!plays(card))
			record(card, from, part);
		else if (card->played)
			fwrite(from, card->frame_bytes, part, card->played);
		at = (at + part) % size;
		frames -= part;
	}
}

static snd_pcm_sframes_t card_pointer(snd_pcm_ioplug_t *io)
{
	struct card *card = io->private_data;
	uint64_t frames = due(card), most = there(card);

	if (frames > most) {
		pass(card, most);
		card->running = false;
		if (io->state != SND_PCM_STATE_DRAINING) {
			card->xruns++;
			note(card, "xrun");
		}
		if (card->played)
			fflush(card->played);
		return -EPIPE;
	}
	pass(card, frames);
	return (snd_pcm_sframes_t)((io->hw_ptr + frames) % io->buffer_size);
}

static int card_start(snd_pcm_ioplug_t *io)
{
	struct card *card = io->private_data;

	card->began_ns = now_ns();
	card->passed = 0;
	card->running = true;
	note(card, "start");
	return 0;
}

static int card_stop(snd_pcm_ioplug_t *io)
{
	struct card *card = io->private_data;
	uint64_t frames = due(card), most = there(card);

	pass(card, frames < most ? frames : most);
	card->running = false;
	if (card->played)
		fflush(card->played);
	note(card, "stop");
	return 0;
}

static int card_prepare(snd_pcm_ioplug_t *io)
{
	((struct card *)io->private_data)->running = false;
	return 0;
}

static int card_hw_params(snd_pcm_ioplug_t *io, snd_pcm_hw_params_t *params)
{
	struct card *card = io->private_data;
	char name[512];

	(void)params;
	card->frame_bytes = (size_t)snd_pcm_format_physical_width(io->format) * io->channels / 8;
	if (card->dir && plays(card) && !card->played) {
		snprintf(name, sizeof name, "%s/%d-%u.raw", card->dir, getpid(), card->number);
		card->played = fopen(name, "we");
	}
	return 0;
}

static int card_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *params)
{
	return snd_pcm_sw_params_get_avail_min(params, &((struct card *)io->private_data)->avail_min);
}

static int card_close(snd_pcm_ioplug_t *io)
{
	struct card *card = io->private_data;

	if (card->played)
		fclose(card->played);
	close(io->poll_fd);
	free(card->dir);
	free(card);
	return 0;
}

/* Sets the timer to when avail_min frames will be free; while draining, to when all will be. */
static void arm(const struct card *card)
{
	const snd_pcm_ioplug_t *io = &card->io;
	uint64_t need = card->avail_min ? card->avail_min : io->period_size;
	uint64_t now = there(card), ahead = due(card), missing;
	struct itimerspec when = { 0 };

	if (io->state == SND_PCM_STATE_DRAINING)
		need = io->buffer_size;
	/* Free or recorded frames by now are buffer - (there - due). */
	missing = need + now > io->buffer_size + ahead ? need + now - io->buffer_size - ahead : 0;
	if (!missing || card->running) {
		uint64_t ns = missing ? missing * 1000000000u / io->rate + 1000 : 1;

		when.it_value.tv_sec = (time_t)(ns / 1000000000u);
		when.it_value.tv_nsec = (long)(ns % 1000000000u);
	}
	timerfd_settime(io->poll_fd, 0, &when, NULL);
}

static int card_poll_count(snd_pcm_ioplug_t *io)
{
	(void)io;
	return 1;
}

static int card_poll_fds(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned room)
{
	if (room < 1)
		return 0;
	arm(io->private_data);
	fds[0].fd = io->poll_fd;
	fds[0].events = POLLIN;
	fds[0].revents = 0;
	return 1;
}

static int card_poll_events(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned count, unsigned short *events)
{
	uint64_t expirations;

	*events = 0;
	if (count && (fds[0].revents & POLLIN) && read(io->poll_fd, &expirations, sizeof expirations) > 0)
		*events = io->stream == SND_PCM_STREAM_PLAYBACK ? POLLOUT : POLLIN;
	return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
	.start = card_start,
	.stop = card_stop,
	.pointer = card_pointer,
	.prepare = card_prepare,
	.hw_params = card_hw_params,
	.sw_params = card_sw_params,
	.close = card_close,
	.poll_descriptors_count = card_poll_count,
	.poll_descriptors = card_poll_fds,
	.poll_revents = card_poll_events,
};

static int offer(snd_pcm_ioplug_t *io)
{
	static const unsigned access[] = { SND_PCM_ACCESS_MMAP_INTERLEAVED, SND_PCM_ACCESS_RW_INTERLEAVED };
	static const unsigned formats[] = {
		SND_PCM_FORMAT_S8, SND_PCM_FORMAT_U8, SND_PCM_FORMAT_S16_LE, SND_PCM_FORMAT_U16_LE,
		SND_PCM_FORMAT_S24_LE, SND_PCM_FORMAT_S24_3LE, SND_PCM_FORMAT_S32_LE, SND_PCM_FORMAT_FLOAT_LE,
	};
	static const struct { int what; unsigned low, high; } ranges[] = {
		{ SND_PCM_IOPLUG_HW_CHANNELS, 1, 8 },
		{ SND_PCM_IOPLUG_HW_RATE, 5512, 384000 },
		{ SND_PCM_IOPLUG_HW_PERIOD_BYTES, 16, 1 << 20 },
		{ SND_PCM_IOPLUG_HW_BUFFER_BYTES, 32, 1 << 22 },
		{ SND_PCM_IOPLUG_HW_PERIODS, 2, 1024 },
	};
	int error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 2, access);

	if (error >= 0)
		error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT,
						      sizeof formats / sizeof *formats, formats);
	for (size_t i = 0; error >= 0 && i < sizeof ranges / sizeof *ranges; i++)
		error = snd_pcm_ioplug_set_param_minmax(io, ranges[i].what, ranges[i].low, ranges[i].high);
	return error;
}

SND_PCM_PLUGIN_DEFINE_FUNC(carillon_card)
{
	static unsigned opened;
	snd_config_iterator_t i, next;
	const char *dir = NULL, *id;
	struct card *card;
	int error;

	(void)root;
	snd_config_for_each(i, next, conf) {
		snd_config_t *entry = snd_config_iterator_entry(i);

		if (snd_config_get_id(entry, &id) >= 0 && !strcmp(id, "dir"))
			snd_config_get_string(entry, &dir);
	}
	card = calloc(1, sizeof *card);
	if (!card)
		return -ENOMEM;
	card->dir = dir ? strdup(dir) : NULL;
	card->number = __atomic_fetch_add(&opened, 1, __ATOMIC_RELAXED);
	card->io.version = SND_PCM_IOPLUG_VERSION;
	card->io.name = "carillon card";
	card->io.callback = &callbacks;
	card->io.private_data = card;
	card->io.mmap_rw = 1;
	card->io.poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	card->io.poll_events = POLLIN;
	error = snd_pcm_ioplug_create(&card->io, name, stream, mode);
	if (error < 0) {
		close(card->io.poll_fd);
		free(card->dir);
		free(card);
		return error;
	}
	error = offer(&card->io);
	if (error < 0) {
		snd_pcm_ioplug_delete(&card->io);
		return error;
	}
	*pcmp = card->io.pcm;
	return 0;
}
SND_PCM_PLUGIN_SYMBOL(carillon_card);
