//! The two instruction sets that lane loops are written in, as data.
//!
//! Operations go by the names that they have in AVX-512. What AVX2 writes in place of them is listed here; where it needs several
//! instructions, that is next to the other set's in the module that asks for it.

use iced_x86::Code as Op;

use super::code::Class;
use crate::VectorMode;

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Set {
    /// F, BW, DQ and VL: 32 registers of 512 bits, masks of their own.
    #[default]
    Avx512,
    /// With FMA: 16 registers of 256 bits; a mask is a vector of lanes that are all ones or all zeros.
    Avx2,
}

impl Set {
    /// The best that this machine has, of what the mode allows.
    pub fn of(mode: VectorMode) -> Option<Set> {
        let all: &[Set] = match mode {
            VectorMode::Auto => &[Set::Avx512, Set::Avx2],
            VectorMode::Avx2 => &[Set::Avx2],
            VectorMode::Narrow | VectorMode::Scalar => &[],
        };
        all.iter().copied().find(|set| set.supported())
    }

    /// Whether this machine has it.
    pub fn supported(self) -> bool {
        #[cfg(all(target_arch = "x86_64", unix))]
        return match self {
            Set::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            Set::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        };
        #[cfg(not(all(target_arch = "x86_64", unix)))]
        false
    }

    /// The set whose vectors have so many lanes of 32 bits.
    pub fn of_lanes(lanes: usize) -> Option<Set> {
        [Set::Avx512, Set::Avx2].into_iter().find(|set| set.lanes() == lanes)
    }

    pub fn lanes(self) -> usize {
        self.bytes() / 4
    }

    /// Of a vector.
    pub fn bytes(self) -> usize {
        match self {
            Set::Avx512 => 64,
            Set::Avx2 => 32,
        }
    }

    /// Of vectors.
    pub fn registers(self) -> u8 {
        match self {
            Set::Avx512 => 32,
            Set::Avx2 => 16,
        }
    }

    pub fn masks(self) -> Class {
        match self {
            Set::Avx512 => Class::Mask,
            Set::Avx2 => Class::Vector,
        }
    }

    /// The instruction in this set, and which operand the mask is if it is one.
    pub fn form(self, op: Op, masked: bool) -> (Op, Option<usize>) {
        match self {
            Set::Avx512 => (op, None),
            Set::Avx2 if masked => {
                let (op, at) = with_mask(op);
                (op, Some(at))
            }
            Set::Avx2 => (without_mask(op), None),
        }
    }
}

fn with_mask(op: Op) -> (Op, usize) {
    match op {
        Op::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32 => (Op::VEX_Vblendvps_ymm_ymm_ymmm256_ymm, 3),
        Op::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64 => (Op::VEX_Vblendvpd_ymm_ymm_ymmm256_ymm, 3),
        Op::EVEX_Vmovups_zmm_k1z_zmmm512 => (Op::VEX_Vmaskmovps_ymm_ymm_m256, 1),
        Op::EVEX_Vmovupd_zmm_k1z_zmmm512 => (Op::VEX_Vmaskmovpd_ymm_ymm_m256, 1),
        Op::EVEX_Vpgatherdd_zmm_k1_vm32z => (Op::VEX_Vpgatherdd_ymm_vm32y_ymm, 2),
        Op::EVEX_Vgatherdpd_zmm_k1_vm32y => (Op::VEX_Vgatherdpd_ymm_vm32x_ymm, 2),
        other => (other, 0),
    }
}

/// What is of both sets, or of no vectors, stays.
fn without_mask(op: Op) -> Op {
    match op {
        Op::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vaddps_ymm_ymm_ymmm256,
        Op::EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vaddpd_ymm_ymm_ymmm256,
        Op::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vsubps_ymm_ymm_ymmm256,
        Op::EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vsubpd_ymm_ymm_ymmm256,
        Op::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vmulps_ymm_ymm_ymmm256,
        Op::EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vmulpd_ymm_ymm_ymmm256,
        Op::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vdivps_ymm_ymm_ymmm256,
        Op::EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vdivpd_ymm_ymm_ymmm256,
        Op::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae => Op::VEX_Vminps_ymm_ymm_ymmm256,
        Op::EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae => Op::VEX_Vminpd_ymm_ymm_ymmm256,
        Op::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae => Op::VEX_Vmaxps_ymm_ymm_ymmm256,
        Op::EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae => Op::VEX_Vmaxpd_ymm_ymm_ymmm256,
        Op::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er => Op::VEX_Vsqrtps_ymm_ymmm256,
        Op::EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er => Op::VEX_Vsqrtpd_ymm_ymmm256,
        Op::EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae => Op::VEX_Vroundps_ymm_ymmm256_imm8,
        Op::EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae => Op::VEX_Vroundpd_ymm_ymmm256_imm8,
        Op::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae => Op::VEX_Vcmpps_ymm_ymm_ymmm256_imm8,
        Op::EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae => Op::VEX_Vcmppd_ymm_ymm_ymmm256_imm8,

        Op::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vfmadd213ps_ymm_ymm_ymmm256,
        Op::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vfmadd231ps_ymm_ymm_ymmm256,
        Op::EVEX_Vfmsub213ps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vfmsub213ps_ymm_ymm_ymmm256,
        Op::EVEX_Vfmsub231ps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vfmsub231ps_ymm_ymm_ymmm256,
        Op::EVEX_Vfnmadd213ps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vfnmadd213ps_ymm_ymm_ymmm256,
        Op::EVEX_Vfnmadd231ps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vfnmadd231ps_ymm_ymm_ymmm256,
        Op::EVEX_Vfnmsub213ps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vfnmsub213ps_ymm_ymm_ymmm256,
        Op::EVEX_Vfnmsub231ps_zmm_k1z_zmm_zmmm512b32_er => Op::VEX_Vfnmsub231ps_ymm_ymm_ymmm256,
        Op::EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vfmadd213pd_ymm_ymm_ymmm256,
        Op::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vfmadd231pd_ymm_ymm_ymmm256,
        Op::EVEX_Vfmsub213pd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vfmsub213pd_ymm_ymm_ymmm256,
        Op::EVEX_Vfmsub231pd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vfmsub231pd_ymm_ymm_ymmm256,
        Op::EVEX_Vfnmadd213pd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vfnmadd213pd_ymm_ymm_ymmm256,
        Op::EVEX_Vfnmadd231pd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vfnmadd231pd_ymm_ymm_ymmm256,
        Op::EVEX_Vfnmsub213pd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vfnmsub213pd_ymm_ymm_ymmm256,
        Op::EVEX_Vfnmsub231pd_zmm_k1z_zmm_zmmm512b64_er => Op::VEX_Vfnmsub231pd_ymm_ymm_ymmm256,

        Op::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpaddd_ymm_ymm_ymmm256,
        Op::EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64 => Op::VEX_Vpaddq_ymm_ymm_ymmm256,
        Op::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpsubd_ymm_ymm_ymmm256,
        Op::EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64 => Op::VEX_Vpsubq_ymm_ymm_ymmm256,
        Op::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpmulld_ymm_ymm_ymmm256,
        Op::EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64 => Op::VEX_Vpmuludq_ymm_ymm_ymmm256,
        Op::EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpminsd_ymm_ymm_ymmm256,
        Op::EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpminud_ymm_ymm_ymmm256,
        Op::EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpmaxsd_ymm_ymm_ymmm256,
        Op::EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpmaxud_ymm_ymm_ymmm256,
        Op::EVEX_Vpabsd_zmm_k1z_zmmm512b32 => Op::VEX_Vpabsd_ymm_ymmm256,
        Op::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32 | Op::EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64 => {
            Op::VEX_Vpand_ymm_ymm_ymmm256
        }
        Op::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32 | Op::EVEX_Vporq_zmm_k1z_zmm_zmmm512b64 => Op::VEX_Vpor_ymm_ymm_ymmm256,
        Op::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32 | Op::EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64 => {
            Op::VEX_Vpxor_ymm_ymm_ymmm256
        }
        Op::EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32 => Op::VEX_Vpxor_xmm_xmm_xmmm128,
        Op::EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8 => Op::VEX_Vpslld_ymm_ymm_imm8,
        Op::EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8 => Op::VEX_Vpsllq_ymm_ymm_imm8,
        Op::EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8 => Op::VEX_Vpsrld_ymm_ymm_imm8,
        Op::EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8 => Op::VEX_Vpsrlq_ymm_ymm_imm8,
        Op::EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8 => Op::VEX_Vpsrad_ymm_ymm_imm8,
        Op::EVEX_Vpsllvd_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpsllvd_ymm_ymm_ymmm256,
        Op::EVEX_Vpsrlvd_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpsrlvd_ymm_ymm_ymmm256,
        Op::EVEX_Vpsravd_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpsravd_ymm_ymm_ymmm256,

        // Masks are vectors. Lanes are all ones or all zeros: the same where they are equal.
        Op::VEX_Kandw_kr_kr_kr => Op::VEX_Vpand_ymm_ymm_ymmm256,
        Op::VEX_Korw_kr_kr_kr => Op::VEX_Vpor_ymm_ymm_ymmm256,
        Op::VEX_Kxorw_kr_kr_kr => Op::VEX_Vpxor_ymm_ymm_ymmm256,
        Op::VEX_Kandnw_kr_kr_kr => Op::VEX_Vpandn_ymm_ymm_ymmm256,
        Op::VEX_Kxnorw_kr_kr_kr => Op::VEX_Vpcmpeqd_ymm_ymm_ymmm256,
        Op::VEX_Kortestw_kr_kr => Op::VEX_Vptest_ymm_ymmm256,

        Op::EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae => Op::VEX_Vcvttps2dq_ymm_ymmm256,
        Op::EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er => Op::VEX_Vcvtdq2ps_ymm_ymmm256,
        Op::EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae => Op::VEX_Vcvtps2pd_ymm_xmmm128,
        Op::EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er => Op::VEX_Vcvtpd2ps_xmm_ymmm256,
        Op::EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er => Op::VEX_Vcvtdq2pd_ymm_xmmm128,
        Op::EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae => Op::VEX_Vcvttpd2dq_xmm_ymmm256,

        Op::EVEX_Vmovaps_zmm_k1z_zmmm512 => Op::VEX_Vmovaps_ymm_ymmm256,
        Op::EVEX_Vmovups_zmm_k1z_zmmm512 => Op::VEX_Vmovups_ymm_ymmm256,
        Op::EVEX_Vmovups_zmmm512_k1z_zmm => Op::VEX_Vmovups_ymmm256_ymm,
        Op::EVEX_Vmovupd_zmm_k1z_zmmm512 => Op::VEX_Vmovupd_ymm_ymmm256,
        Op::EVEX_Vmovd_rm32_xmm => Op::VEX_Vmovd_rm32_xmm,
        Op::EVEX_Vmovsd_m64_k1_xmm => Op::VEX_Vmovsd_m64_xmm,
        Op::EVEX_Vbroadcastss_zmm_k1z_xmmm32 => Op::VEX_Vbroadcastss_ymm_m32,
        Op::EVEX_Vbroadcastsd_zmm_k1z_xmmm64 => Op::VEX_Vbroadcastsd_ymm_m64,
        Op::EVEX_Vpmovzxbd_zmm_k1z_xmmm128 => Op::VEX_Vpmovzxbd_ymm_xmmm64,
        Op::EVEX_Vpmovzxwd_zmm_k1z_ymmm256 => Op::VEX_Vpmovzxwd_ymm_xmmm128,
        Op::EVEX_Vpermd_zmm_k1z_zmm_zmmm512b32 => Op::VEX_Vpermd_ymm_ymm_ymmm256,
        Op::EVEX_Vextracti64x4_ymmm256_k1z_zmm_imm8 | Op::EVEX_Vextracti32x4_xmmm128_k1z_zmm_imm8 => {
            Op::VEX_Vextracti128_xmmm128_ymm_imm8
        }
        Op::EVEX_Vinserti64x4_zmm_k1z_zmm_ymmm256_imm8 => Op::VEX_Vinserti128_ymm_ymm_xmmm128_imm8,
        Op::EVEX_Vpinsrw_xmm_xmm_r32m16_imm8 => Op::VEX_Vpinsrw_xmm_xmm_r32m16_imm8,
        Op::EVEX_Vpinsrb_xmm_xmm_r32m8_imm8 => Op::VEX_Vpinsrb_xmm_xmm_r32m8_imm8,
        Op::EVEX_Vpextrd_rm32_xmm_imm8 => Op::VEX_Vpextrd_rm32_xmm_imm8,
        Op::EVEX_Vpextrw_r32m16_xmm_imm8 => Op::VEX_Vpextrw_r32m16_xmm_imm8,
        Op::EVEX_Vpextrb_r32m8_xmm_imm8 => Op::VEX_Vpextrb_r32m8_xmm_imm8,
        other => other,
    }
}
