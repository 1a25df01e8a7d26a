//! Device access under cgroup v2, which has no control file for it: a small BPF program, attached
//! to the group, answers each access (Linux `Documentation/admin-guide/cgroup-v2.rst`, "Device
//! controller").

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use super::{DeviceKind, DeviceRule};

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Groups below may add programs of their own; all must allow.
const BPF_F_ALLOW_MULTI: u32 = 2;

const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;

const R0: u8 = 0;
const R1: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Instruction codes of linux/bpf.h, composed of class, size or operation, and source.
const LOAD_WORD: u8 = 0x61;
const MOVE_REGISTER: u8 = 0xbf;
const MOVE_CONSTANT: u8 = 0xb7;
const AND_CONSTANT: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_NOT_EQUAL_CONSTANT: u8 = 0x55;
const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5d;
const EXIT: u8 = 0x95;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u8,
    to: u8,
    from: u8,
    offset: i16,
    constant: i32,
}

impl Instruction {
    const fn new(code: u8, to: u8, from: u8, offset: i16, constant: i32) -> Self {
        Self {
            code,
            to,
            from,
            offset,
            constant,
        }
    }

    fn encode(self) -> u64 {
        let [offset_low, offset_high] = self.offset.to_le_bytes();
        let [a, b, c, d] = self.constant.to_le_bytes();
        u64::from_ne_bytes([
            self.code,
            self.to | (self.from << 4),
            offset_low,
            offset_high,
            a,
            b,
            c,
            d,
        ])
    }
}

/// Lets the group at `dir` use only what `rules` allow.
pub(super) fn restrict(dir: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    let program: Vec<u64> = compile(rules)?
        .into_iter()
        .map(Instruction::encode)
        .collect();
    let loaded = load(&program)?;
    attach(&std::fs::File::open(dir)?, &loaded)
}

/// The context is `struct bpf_cgroup_dev_ctx`: type in the low half and access in the high half of
/// the first word, then major and minor. Each rule is tried in turn; none = denied.
fn compile(rules: &[DeviceRule]) -> io::Result<Vec<Instruction>> {
    let mut out = vec![
        Instruction::new(LOAD_WORD, TYPE, R1, 0, 0),
        Instruction::new(AND_CONSTANT, TYPE, 0, 0, 0xffff),
        Instruction::new(LOAD_WORD, ACCESS, R1, 0, 0),
        Instruction::new(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        Instruction::new(LOAD_WORD, MAJOR, R1, 4, 0),
        Instruction::new(LOAD_WORD, MINOR, R1, 8, 0),
    ];
    for rule in rules {
        out.extend(compile_rule(rule)?);
    }
    out.extend([
        Instruction::new(MOVE_CONSTANT, R0, 0, 0, 0),
        Instruction::new(EXIT, 0, 0, 0, 0),
    ]);
    Ok(out)
}

fn compile_rule(rule: &DeviceRule) -> io::Result<Vec<Instruction>> {
    let mut tests = Vec::new();
    match rule.kind {
        DeviceKind::Any => {}
        DeviceKind::Block => tests.push(Instruction::new(JUMP_NOT_EQUAL_CONSTANT, TYPE, 0, 0, 1)),
        DeviceKind::Char => tests.push(Instruction::new(JUMP_NOT_EQUAL_CONSTANT, TYPE, 0, 0, 2)),
    }
    let access = access_mask(&rule.access)?;
    if access != ACCESS_MKNOD | ACCESS_READ | ACCESS_WRITE {
        tests.extend([
            Instruction::new(MOVE_REGISTER, R1, ACCESS, 0, 0),
            Instruction::new(AND_CONSTANT, R1, 0, 0, access),
            Instruction::new(JUMP_NOT_EQUAL_REGISTER, R1, ACCESS, 0, 0),
        ]);
    }
    for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        if let Some(number) = number {
            let constant =
                i32::try_from(number).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            tests.push(Instruction::new(
                JUMP_NOT_EQUAL_CONSTANT,
                register,
                0,
                0,
                constant,
            ));
        }
    }
    // A failed test jumps behind the two instructions that allow.
    let end = tests.len() + 2;
    for (at, test) in tests.iter_mut().enumerate() {
        if matches!(test.code, JUMP_NOT_EQUAL_CONSTANT | JUMP_NOT_EQUAL_REGISTER) {
            test.offset = i16::try_from(end - at - 1).map_err(io::Error::other)?;
        }
    }
    tests.extend([
        Instruction::new(MOVE_CONSTANT, R0, 0, 0, 1),
        Instruction::new(EXIT, 0, 0, 0, 0),
    ]);
    Ok(tests)
}

fn access_mask(letters: &str) -> io::Result<i32> {
    letters.bytes().try_fold(0, |mask, letter| match letter {
        b'r' => Ok(mask | ACCESS_READ),
        b'w' => Ok(mask | ACCESS_WRITE),
        b'm' => Ok(mask | ACCESS_MKNOD),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("device access {letters:?} is not of the letters rwm"),
        )),
    })
}

/// The start of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The start of `union bpf_attr` for BPF_PROG_ATTACH.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

fn load(program: &[u64]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(io::Error::other)?,
        insns: program.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: `attr` is the load form of bpf_attr; the program and the licence it points to outlive
    // the call, and their lengths are right.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &attr, size_of::<LoadAttr>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the call succeeded, so this is a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn attach(group: &impl AsRawFd, program: &OwnedFd) -> io::Result<()> {
    let attr = AttachAttr {
        target_fd: u32::try_from(group.as_raw_fd()).map_err(io::Error::other)?,
        attach_bpf_fd: u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: `attr` is the attach form of bpf_attr and both descriptors are open.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            &attr,
            size_of::<AttachAttr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs in whatever version 2 hierarchy is mounted, also an otherwise empty one.
    #[test]
    fn only_listed_devices_can_be_opened() {
        let Some(root) = crate::mount::table()
            .unwrap()
            .into_iter()
            .find(|mount| mount.kind == "cgroup2")
        else {
            return;
        };
        let dir = root
            .target
            .join(format!("k3s-sys-test-devices-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        restrict(&dir, &[DeviceRule::allow(DeviceKind::Char, 1, 3, "rw")]).unwrap();
        let script = format!(
            "echo $$ > {}/cgroup.procs; cat /dev/null && ! head -c1 /dev/zero",
            dir.display()
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        std::fs::remove_dir(&dir).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[test]
    fn a_failed_test_skips_its_rule() {
        let rule = compile_rule(&DeviceRule::allow(DeviceKind::Block, 8, 0, "r")).unwrap();
        for (at, instruction) in rule
            .iter()
            .enumerate()
            .filter(|(_, instruction)| instruction.offset != 0)
        {
            assert_eq!(
                at + 1 + usize::try_from(instruction.offset).unwrap(),
                rule.len()
            );
        }
        assert!(compile_rule(&DeviceRule::allow_all(DeviceKind::Any, "x")).is_err());
    }
}
