// contract_staged: acc[b, m, n] = Σ_k A[b, m, k] · B[b, k, n] through workgroup memory, which has each element of a tile once.
//
//              TILE_N             The sums stay in registers; sh_a and sh_b hold TILE_K steps of k.
//           ┌─────────┐ TILE_K    fetch the first tile
//           │  sh_b   │           each step of TILE_K:  put · barrier · fetch the next · multiply-add · barrier
//    ┌────┐ ├─────────┤
//    │sh_a│ │  sums   │ TILE_M    invocation (x, y) has the vectors y, y + Y, … of rows and x, x + X, … of columns:
//    └────┘ └─────────┘           neighbours read neighbours of sh_b, and all of a row the same vector of sh_a
//    TILE_K
//
// Both tiles lie k by k, four rows (of B: columns) to a vector, with one vector of skew against bank conflicts:
//    sh_a[k * PITCH_A + r] = A[4r .. 4r + 3][k]
//
// holes, all of them functions that the generator writes; a struct is what they keep from one to the next:
//    rows_a(p, batch, row) -> RowsA                      where four rows of A begin; behind the last row: the last ones
//    fetch_a(p, RowsA, k, end) -> array<vec4f, STEP_A>   these rows at k, k + 1, …; 0 from `end` on
//    rows_b, fetch_b, STEP_B                             the same of the columns of B
//    columns(p, batch, part, column) -> Columns          what the same four columns have in common in all rows
//    store(p, Columns, row, acc)                         what is done with four sums, if they are inside

const X = ${x}u;         // invocations along the columns
const Y = ${y}u;         // and along the rows
const TILE_K = ${tile_k}u;
const TILE_M = ${4 * y * blocks}u;
const TILE_N = ${4 * x * blocks}u;
const GROUP = 8u;        // tiles of rows that go together: they share columns of B in the cache

struct Place { row: u32, column: u32, batch: u32, part: u32 }

// The tile of a workgroup: GROUP tiles of rows, then the next tile of columns, then the next GROUP of rows.
fn place(p: Params, tile: u32) -> Place {
    let matrix = tile / (p.tiles_m * p.tiles_n);
    let t = tile - matrix * p.tiles_m * p.tiles_n;
    let band = t / (GROUP * p.tiles_n);
    let inside = t - band * GROUP * p.tiles_n;
    let height = min(p.tiles_m - band * GROUP, GROUP);
    let part = matrix / p.batches;
    return Place((band * GROUP + inside % height) * TILE_M, inside / height * TILE_N, matrix - part * p.batches, part);
}

//% for s in sides
const PITCH_${s.S} = TILE_${s.M} / 4u + 1u;
var<workgroup> sh_${s.s}: array<vec4f, PITCH_${s.S} * TILE_K>;

// Which four rows of the tile (x) and which first step of k (y) a fetch brings.
fn job_${s.s}(i: u32) -> vec2u {
//% if s.along_k
    return vec2u(i / (TILE_K / STEP_${s.S}), i % (TILE_K / STEP_${s.S}) * STEP_${s.S});
//% else
    return vec2u(i % (TILE_${s.M} / 4u), i / (TILE_${s.M} / 4u) * STEP_${s.S});
//% endif
}

//% endfor
@compute @workgroup_size(X * Y)
fn ${entry}(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
    let p = params;
    let tile = wid.y * nwg.x + wid.x;
    if tile >= p.tiles { return; }                 // the whole workgroup
    let at = place(p, tile);
    let start = at.part * p.chunk;
    let end = min(start + p.chunk, p.k);
    let x = lid % X;
    let y = lid / X;
//% for s in sides
//% for j in range(s.jobs)
    let job_${s.s}${j} = job_${s.s}(lid + ${j}u * X * Y);
    let rows_${s.s}${j} = rows_${s.s}(p, at.batch, at.${s.first} + job_${s.s}${j}.x * 4u);
    var next_${s.s}${j} = fetch_${s.s}(p, rows_${s.s}${j}, start + job_${s.s}${j}.y, end);
//% endfor
//% endfor
//% for i in range(4 * blocks)
//% for q in range(blocks)
    var c${i}_${q} = vec4f();
//% endfor
//% endfor

    for (var k = start; k < end; k += TILE_K) {
//% for s in sides
//% for j in range(s.jobs)
//% for t in range(s.step)
        ${s.few}sh_${s.s}[(job_${s.s}${j}.y + ${t}u) * PITCH_${s.S} + job_${s.s}${j}.x] = next_${s.s}${j}[${t}];${s.end}
//% endfor
//% endfor
//% endfor
        workgroupBarrier();                        // the tile is complete
        if k + TILE_K < end {                      // the next one is on its way while this one is multiplied
//% for s in sides
//% for j in range(s.jobs)
            ${s.few}next_${s.s}${j} = fetch_${s.s}(p, rows_${s.s}${j}, k + TILE_K + job_${s.s}${j}.y, end);${s.end}
//% endfor
//% endfor
        }
        for (var step = 0u; step < TILE_K; step++) {
//% for q in range(blocks)
            let a${q} = sh_a[step * PITCH_A + y + ${q}u * Y];
            let b${q} = sh_b[step * PITCH_B + x + ${q}u * X];
//% endfor
//% for i in range(4 * blocks)
//% for q in range(blocks)
            c${i}_${q} += a${i // 4}.${"xyzw"[i % 4]} * b${q};
//% endfor
//% endfor
        }
        workgroupBarrier();                        // everybody has read it
    }

//% for q in range(blocks)
    let columns${q} = columns(p, at.batch, at.part, at.column + (x + ${q}u * X) * 4u);
//% for i in range(4 * blocks)
    store(p, columns${q}, at.row + (y + ${i // 4}u * Y) * 4u + ${i % 4}u, c${i}_${q});
//% endfor
//% endfor
}
