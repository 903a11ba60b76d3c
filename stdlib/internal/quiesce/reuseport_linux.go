//go:build linux && !(mips || mipsle || mips64 || mips64le)

package quiesce

const soReuseport = 15 // SO_REUSEPORT of asm-generic/socket.h
