// Rows combined by the segment that each belongs to. Three kernels, an invocation for each segment, each row, and each element of y,
// or four of them.
//
//   segment   7 3 7 1 9 3        x: rows 0 … 5
//
//   clear     each segment:      rows = 0, first = none
//   tally     each row:          rows += 1, first = min(first, row)       integers: whoever comes first, the result is one
//   combine   each element:      walks on from the first row of its segment until it has met all of them
//                                y[7] = x[0] + x[2]    rows 2, first 0
//                                y[3] = x[1] + x[5]    rows 2, first 1
//
// No sort, no float atomics: every sum has one writer and one order.
//
// Tallies are words: `rows` of each of the `slots` segments of all batches, then `first` of each.
// Holes: load_segment, load_x, store_y, store_count; load_tally, store_tally, add_tally, min_tally; Value, which has `width` elements;
// identity, combined(y, x).

fn clear(slot: u32, slots: u32, length: u32) {
    store_tally(slot, 0u);
    store_tally(slots + slot, length);
}

// `row` counts through all batches of `length` rows.
fn tally(row: u32, slots: u32, length: u32, segments: u32, segment_at: u32) {
    let segment = load_segment(segment_at + row);
    if segment < 0 || segment >= i32(segments) { return; }
    let slot = row / length * segments + u32(segment);
    add_tally(slot, 1u);
    min_tally(slots + slot, row % length);
}

// `column` is in units of what one invocation combines: one element, or four.
fn combine(slot: u32, column: u32, slots: u32, length: u32, columns: u32, segments: u32, x_at: u32, segment_at: u32, y_at: u32) {
    var y = Value(identity);
    var left = load_tally(slot);
    if left > 0u {
        let batch = slot / segments;
        let segment = i32(slot - batch * segments);
        for (var row = load_tally(slots + slot); left > 0u && row < length; row++) {
            if load_segment(segment_at + batch * length + row) == segment {
                y = combined(y, load_x(x_at + ((batch * length + row) * columns + column) * width));
                left--;
            }
        }
    }
    store_y(y_at + (slot * columns + column) * width, y);
}

fn count(slot: u32, count_at: u32) { store_count(count_at + slot, i32(load_tally(slot))); }
