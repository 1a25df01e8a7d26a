//! Numbers of the kernel interface (`linux/netfilter/nf_tables.h`, `nfnetlink.h`).

pub(super) const SUBSYS: u16 = 10 << 8;
pub(super) const BATCH_BEGIN: u16 = 16;
pub(super) const BATCH_END: u16 = 17;
/// `res_id` of a batch: the subsystem, in network order.
pub(super) const BATCH_RESOURCE: [u8; 2] = [0, 10];
/// Length of `struct nfgenmsg`.
pub(super) const NFGEN_LEN: usize = 4;

pub(super) const NEW_TABLE: u16 = SUBSYS;
pub(super) const GET_TABLE: u16 = SUBSYS | 1;
pub(super) const DEL_TABLE: u16 = SUBSYS | 2;
pub(super) const NEW_CHAIN: u16 = SUBSYS | 3;
pub(super) const DEL_CHAIN: u16 = SUBSYS | 5;
pub(super) const NEW_RULE: u16 = SUBSYS | 6;
pub(super) const GET_RULE: u16 = SUBSYS | 7;
pub(super) const DEL_RULE: u16 = SUBSYS | 8;
pub(super) const NEW_SET: u16 = SUBSYS | 9;
pub(super) const GET_SET: u16 = SUBSYS | 10;
pub(super) const NEW_ELEMENT: u16 = SUBSYS | 12;
pub(super) const GET_ELEMENT: u16 = SUBSYS | 13;
pub(super) const DEL_ELEMENT: u16 = SUBSYS | 14;

pub(super) const TABLE_NAME: u16 = 1;
pub(super) const TABLE_USERDATA: u16 = 6;
pub(super) const CHAIN_TABLE: u16 = 1;
pub(super) const CHAIN_NAME: u16 = 3;
pub(super) const CHAIN_HOOK: u16 = 4;
pub(super) const CHAIN_POLICY: u16 = 5;
pub(super) const CHAIN_TYPE: u16 = 7;
pub(super) const HOOK_NUM: u16 = 1;
pub(super) const HOOK_PRIORITY: u16 = 2;
pub(super) const NF_ACCEPT: u32 = 1;
pub(super) const RULE_TABLE: u16 = 1;
pub(super) const RULE_CHAIN: u16 = 2;
pub(super) const RULE_EXPRESSIONS: u16 = 4;
pub(super) const LIST_ELEM: u16 = 1;
pub(super) const EXPR_NAME: u16 = 1;
pub(super) const EXPR_DATA: u16 = 2;

pub(super) const SET_TABLE: u16 = 1;
pub(super) const SET_NAME: u16 = 2;
pub(super) const SET_FLAGS: u16 = 3;
pub(super) const SET_KEY_TYPE: u16 = 4;
pub(super) const SET_KEY_LEN: u16 = 5;
pub(super) const SET_DATA_TYPE: u16 = 6;
pub(super) const SET_DATA_LEN: u16 = 7;
pub(super) const SET_DESC: u16 = 9;
pub(super) const SET_ID: u16 = 10;
pub(super) const SET_TIMEOUT: u16 = 11;
pub(super) const SET_DESC_SIZE: u16 = 1;
pub(super) const SET_DESC_CONCAT: u16 = 2;
pub(super) const SET_FIELD_LEN: u16 = 1;
pub(super) const FLAG_INTERVAL: u32 = 0x4;
pub(super) const FLAG_MAP: u32 = 0x8;
pub(super) const FLAG_TIMEOUT: u32 = 0x10;
pub(super) const FLAG_EVAL: u32 = 0x20;
pub(super) const FLAG_CONCAT: u32 = 0x80;
pub(super) const DATA_TYPE_VERDICT: u32 = 0xffff_ff00;

pub(super) const ELEM_LIST_TABLE: u16 = 1;
pub(super) const ELEM_LIST_SET: u16 = 2;
pub(super) const ELEM_LIST_ELEMENTS: u16 = 3;
pub(super) const ELEM_KEY: u16 = 1;
pub(super) const ELEM_DATA: u16 = 2;
pub(super) const ELEM_TIMEOUT: u16 = 4;
pub(super) const ELEM_EXPIRATION: u16 = 5;
pub(super) const ELEM_USERDATA: u16 = 6;
pub(super) const ELEM_KEY_END: u16 = 10;
pub(super) const DATA_VALUE: u16 = 1;
pub(super) const DATA_VERDICT: u16 = 2;
pub(super) const VERDICT_CODE: u16 = 1;
pub(super) const VERDICT_CHAIN: u16 = 2;

pub(super) const VERDICT_DROP: i32 = 0;
pub(super) const VERDICT_ACCEPT: i32 = 1;
pub(super) const VERDICT_JUMP: i32 = -3;
pub(super) const VERDICT_GOTO: i32 = -4;
pub(super) const VERDICT_RETURN: i32 = -5;

/// The verdict register.
pub(super) const REG_VERDICT: u32 = 0;
/// The first 32-bit register; there are sixteen.
pub(super) const REG32_FIRST: u32 = 8;
pub(super) const REG32_COUNT: usize = 16;

pub(super) const META_MARK: u32 = 3;
pub(super) const META_IIFNAME: u32 = 6;
pub(super) const META_OIFNAME: u32 = 7;
pub(super) const META_L4PROTO: u32 = 16;
pub(super) const CT_STATE: u32 = 0;
pub(super) const CT_STATUS: u32 = 2;
pub(super) const PAYLOAD_NETWORK: u32 = 1;
pub(super) const PAYLOAD_TRANSPORT: u32 = 2;
pub(super) const FIB_RESULT_ADDRTYPE: u32 = 3;
pub(super) const FIB_SADDR: u32 = 1;
pub(super) const FIB_DADDR: u32 = 2;
pub(super) const NAT_DNAT: u32 = 1;
pub(super) const NAT_RANDOM_FULLY: u32 = 1 << 4;
pub(super) const REJECT_ICMP: u32 = 0;
pub(super) const REJECT_TCP_RESET: u32 = 1;
pub(super) const ICMP_PORT_UNREACHABLE: u8 = 3;
pub(super) const ICMP6_PORT_UNREACHABLE: u8 = 4;

/// Type of a comment in user data (`NFTNL_UDATA_*_COMMENT`), so that `nft list` shows it.
pub(super) const UDATA_COMMENT: u8 = 0;
