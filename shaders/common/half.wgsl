// 16-bit floats by integer arithmetic: to nearest, ties to even, subnormals kept. For devices whose own conversions do
// less, and for bf16, which WGSL does not have.

// The bits of x as an f16; 65520 and above are infinite.
fn f16_bits(x: f32) -> u32 {
    let u = bitcast<u32>(x);
    let sign = (u >> 16u) & 0x8000u;
    let a = u & 0x7fffffffu;
    if a > 0x7f800000u { return sign | 0x7e00u; }
    if a >= 0x477ff000u { return sign | 0x7c00u; }
    if a >= 0x38800000u {
        // Normal: rebias the exponent by 127 - 15 and round off 13 bits; a carry goes into the exponent as it should.
        return sign | ((a - 0x38000000u + 0xfffu + ((a >> 13u) & 1u)) >> 13u);
    }
    if a < 0x33000000u { return sign; }
    // Subnormal: the significand in units of 2^-24.
    let shift = 126u - (a >> 23u);
    let m = (a & 0x7fffffu) | 0x800000u;
    let q = m >> shift;
    let rest = m & ((1u << shift) - 1u);
    let half = 1u << (shift - 1u);
    return sign | (q + select(0u, 1u, rest > half || (rest == half && (q & 1u) == 1u)));
}

// The value of f16 bits.
fn f16_value(h: u32) -> f32 {
    let sign = (h & 0x8000u) << 16u;
    let e = (h >> 10u) & 0x1fu;
    let m = h & 0x3ffu;
    if e == 0u {
        // 2^-24 units: exact in f32, and no f32 subnormal is involved.
        let v = f32(m) * 5.9604644775390625e-8;
        return select(v, -v, sign != 0u);
    }
    let exponent = select((e + 112u) << 23u, 0x7f800000u, e == 31u);
    return bitcast<f32>(sign | exponent | (m << 13u));
}

fn round_f16(x: f32) -> f32 {
    return f16_value(f16_bits(x));
}

// The upper half of x, rounded.
fn bf16_bits(x: f32) -> u32 {
    let u = bitcast<u32>(x);
    if (u & 0x7fffffffu) > 0x7f800000u { return (u >> 16u) | 0x40u; }
    return (u + 0x7fffu + ((u >> 16u) & 1u)) >> 16u;
}

fn bf16_value(h: u32) -> f32 {
    return bitcast<f32>(h << 16u);
}

fn round_bf16(x: f32) -> f32 {
    return bitcast<f32>(bf16_bits(x) << 16u);
}
