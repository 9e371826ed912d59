// Philox4x32-10. Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".

// High and low word of a · b, by 16-bit halves: WGSL has no 64-bit product that all back ends take.
fn mul_wide(a: u32, b: u32) -> vec2u {
    let ll = (a & 0xffffu) * (b & 0xffffu);
    let hl = (a >> 16u) * (b & 0xffffu);
    let lh = (a & 0xffffu) * (b >> 16u);
    let mid = (ll >> 16u) + (hl & 0xffffu) + (lh & 0xffffu);
    return vec2u((a >> 16u) * (b >> 16u) + (hl >> 16u) + (lh >> 16u) + (mid >> 16u), a * b);
}

fn philox(counter: vec4u, key: vec2u) -> vec4u {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round++) {
        let p0 = mul_wide(0xd2511f53u, c.x);
        let p1 = mul_wide(0xcd9e8d57u, c.z);
        c = vec4u(p1.x ^ c.y ^ k.x, p1.y, p0.x ^ c.w ^ k.y, p0.y);
        k += vec2u(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}
