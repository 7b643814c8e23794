//! The filter of a running VM: what it does still works, a planted open, socket, connect, bind, exec or thread ends the process.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::fd::AsRawFd;

use hypervisor::sandbox;

/// How a child ended that put the filter on and then did `act`.
fn under_the_filter(act: impl Fn(i32)) -> i32 {
    // Made before the fork: a child of a threaded process only makes system calls.
    let program = sandbox::program().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the child calls what makes system calls only, then `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        if sandbox::lock(&program).is_err() {
            // SAFETY: ends the child without anything of the parent's being run.
            unsafe { libc::_exit(9) };
        }
        act(writer.as_raw_fd());
        // SAFETY: as above.
        unsafe { libc::_exit(0) };
    }
    drop(writer);
    let mut said = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut said).unwrap();
    let mut status = 0;
    // SAFETY: our own child; `status` is valid.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status
}

fn killed_by_the_filter(status: i32) -> bool {
    libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS
}

#[test]
fn what_a_running_vm_does_is_allowed() {
    let status = under_the_filter(|pipe| {
        // SAFETY: valid pointers, or none.
        unsafe {
            libc::write(pipe, c"ok".as_ptr().cast(), 2);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let page = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, flags, -1, 0);
            libc::munmap(page, 4096);
            let event = libc::eventfd(0, libc::EFD_CLOEXEC);
            libc::close(event);
            let least = libc::sched_param { sched_priority: 0 };
            libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const least);
        }
    });
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status:#x}");
}

/// A system call by number, whatever comes of it.
fn call(number: libc::c_long, arguments: [libc::c_long; 6]) {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: no argument is a pointer that the kernel could write through: all are null or constant texts.
    unsafe { libc::syscall(number, a, b, c, d, e, f) };
}

#[test]
fn a_planted_open_socket_connect_bind_exec_or_fork_dies() {
    let here = libc::c_long::from(libc::AT_FDCWD);
    let root = c"/".as_ptr() as libc::c_long;
    let (unix, stream) = (libc::c_long::from(libc::AF_UNIX), libc::c_long::from(libc::SOCK_STREAM));
    let private = libc::c_long::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let executable = libc::c_long::from(libc::PROT_READ | libc::PROT_EXEC);
    let planted: [(&str, libc::c_long, [libc::c_long; 6]); 13] = [
        ("openat", libc::SYS_openat, [here, root, 0, 0, 0, 0]),
        ("openat2", libc::SYS_openat2, [here, root, 0, 0, 0, 0]),
        ("socket", libc::SYS_socket, [unix, stream, 0, 0, 0, 0]),
        ("socketpair", libc::SYS_socketpair, [unix, stream, 0, 0, 0, 0]),
        ("connect", libc::SYS_connect, [0; 6]),
        ("bind", libc::SYS_bind, [0; 6]),
        ("listen", libc::SYS_listen, [0; 6]),
        ("execve", libc::SYS_execve, [root, 0, 0, 0, 0, 0]),
        ("clone", libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [0; 6]),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, [0; 6]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [0; 6]),
        (
            "executable memory",
            libc::SYS_mmap,
            [0, 4096, executable, private, -1, 0],
        ),
    ];
    for (what, number, arguments) in planted {
        let status = under_the_filter(|_| call(number, arguments));
        assert!(killed_by_the_filter(status), "{what}: {status:#x}");
    }
}
