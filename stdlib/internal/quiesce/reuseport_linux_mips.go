//go:build linux && (mips || mipsle || mips64 || mips64le)

package quiesce

const soReuseport = 0x200 // SO_REUSEPORT of arch/mips/include/uapi/asm/socket.h
