// Rows combined by the segment that each belongs to: sorted by segment, so that the rows of one stand side by side, in their order.
//
//   segment   7 3 7 1 9 3                      x: rows 0 … 5
//
//   order     each row, within its block:      slots 1 3 7 7 | 3 9     rows 3 1 0 2 | 5 4     blocks of four
//   merge     each place of two sorted runs:   slots 1 3 3 7 7 9       rows 3 1 5 0 2 4       a launch for each level
//   starts    each slot, and one more:         where its rows begin: those of 3 at 1, of 4 at 3
//   combine   each element of y, or four:      y[3] = x[1] + x[5]
//
// No atomics: every place and every sum has one writer and one order. A slot is a segment of a batch; rows of a segment that there is
// not have the slot behind the last.
//
// Words: runs of slots and of rows, `rows` of each, twice; then `slots + 1` starts.
// Holes: load_segment, load_x, load_y, store_y, store_count; load_word, store_word; Value, which has `width` elements; identity,
// combined(y, x); BLOCK, the invocations of a workgroup; sh_slots, as many words of workgroup memory.

// `row` counts through all batches of `length` rows. All invocations of a workgroup come here.
fn order(row: u32, lid: u32, rows: u32, length: u32, segments: u32, slots: u32, segment_at: u32, to: u32) {
    var slot = slots;
    if row < rows {
        let segment = load_segment(segment_at + row);
        if segment >= 0 && segment < i32(segments) { slot = row / length * segments + u32(segment); }
    }
    sh_slots[lid] = slot;
    workgroupBarrier();
    if row >= rows { return; }
    let first = row - lid;
    let count = min(BLOCK, rows - first);
    var place = first;
    for (var other = 0u; other < count; other++) {
        // Of equal ones the first stays in front.
        if sh_slots[other] < slot + u32(other < lid) { place++; }
    }
    store_word(to + place, slot);
    store_word(to + rows + place, row);
}

// `run` is the length of the sorted runs, a power of two.
fn merge(place: u32, rows: u32, run: u32, source: u32, to: u32) {
    let slot = load_word(source + place);
    let first = place & ~(2u * run - 1u);
    let middle = min(first + run, rows);
    let is_left = place < middle;
    // The other run's places that stay in front: of equal slots those of the left run.
    var low = select(first, middle, is_left);
    var high = select(middle, min(middle + run, rows), is_left);
    while low < high {
        let at = (low + high) / 2u;
        if load_word(source + at) < slot + u32(!is_left) { low = at + 1u; } else { high = at; }
    }
    let merged = place + low - middle;
    store_word(to + merged, slot);
    store_word(to + rows + merged, load_word(source + rows + place));
}

// The first place of this slot, or of a later one.
fn starts(slot: u32, rows: u32, sorted: u32, starts_at: u32) {
    var low = 0u;
    var high = rows;
    while low < high {
        let at = (low + high) / 2u;
        if load_word(sorted + at) < slot { low = at + 1u; } else { high = at; }
    }
    store_word(starts_at + slot, low);
}

// `column` is in units of what one invocation combines: one element, or four. Of the places `begin .. to` alone; a slot that lies on
// both sides of `begin` goes on with what the launch before has stored.
fn combine(
    slot: u32, column: u32, columns: u32, sorted_rows: u32, starts_at: u32, x_at: u32, y_at: u32, begin: u32, to: u32
) {
    let first = load_word(starts_at + slot);
    let end = load_word(starts_at + slot + 1u);
    let is_new = first >= begin;
    if first >= to || !(is_new || end > begin) { return; }
    let at = y_at + (slot * columns + column) * width;
    var y = Value(identity);
    if !is_new { y = load_y(at); }
    for (var place = max(first, begin); place < min(end, to); place++) {
        y = combined(y, load_x(x_at + (load_word(sorted_rows + place) * columns + column) * width));
    }
    store_y(at, y);
}

fn count(slot: u32, starts_at: u32, count_at: u32) {
    store_count(count_at + slot, i32(load_word(starts_at + slot + 1u) - load_word(starts_at + slot)));
}
