package supervise

// fionread is FIONREAD (sys/filio.h), _IOR('f', 127, int) on every architecture.
const fionread = 0x4004667f
