//! Conversion matrices and handles.

use crate::routing::Conversion;
use crate::routing::handles::{Handles, LAST};

#[test]
fn rows_are_sink_formats_and_columns_source_formats_also_where_the_matrix_is_not_square() {
    let matrix = Conversion::new(vec![1, 2], vec![1, 2, 3], vec![true, false, false, false, true, true]).unwrap();
    let cells: Vec<(u16, u16)> = [1, 2]
        .into_iter()
        .flat_map(|sink| [1, 2, 3].map(|source| (sink, source)))
        .filter(|(sink, source)| matrix.converts(*sink, *source))
        .collect();
    assert_eq!(cells, [(1, 1), (2, 2), (2, 3)]);
    assert!(!matrix.converts(3, 1), "a format it doesn't take");
}

#[test]
fn a_matrix_that_is_not_as_long_as_the_product_is_none() {
    assert!(Conversion::new(vec![1, 2], vec![1], vec![true]).is_none());
    assert!(Conversion::new(vec![], vec![1], vec![true]).is_none());
    assert!(Conversion::new(vec![], vec![], vec![]).is_some_and(|it| !it.any()));
}

#[test]
fn a_handle_rests_for_its_whole_time_and_all_of_them_are_used() {
    let mut handles = Handles::default();
    for expected in 1..=LAST {
        assert_eq!(handles.issue(u64::from(expected)), Some(expected));
    }
    assert_eq!(handles.issue(2000), None);
    // 1 to 16 are one run, which rests until the last of them has.
    assert_eq!(handles.next_free(10_000), Some(10_016));
    handles.rest(10_015, 10_000, |_| false);
    assert_eq!(handles.issue(10_015), None);
    handles.rest(10_016, 10_000, |handle| handle == 1);
    assert_eq!(handles.free(), 15);
    assert_eq!(handles.issue(10_016), Some(2), "the first is still open");
    handles.rest(30_000, 10_000, |_| false);
    assert_eq!(handles.free(), usize::from(LAST));
    assert_eq!(handles.issue(30_000), Some(3), "not one of the latest");
}
