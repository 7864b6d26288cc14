//! The XDP program. For now it passes every packet.
#![no_std]
#![no_main]

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

/// The one program of the object.
#[xdp]
fn hb_xdp(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// What the kernel asks before it lends its GPL helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
