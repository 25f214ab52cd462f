//! Comparison that no NaN passes.

/// The largest error of `found` relative to the largest value of `expected`, or a sentence about what is not a number.
pub fn error(found: &[f32], expected: &[f64]) -> Result<f64, String> {
    if found.len() != expected.len() {
        return Err(format!("{} values instead of {}", found.len(), expected.len()));
    }
    if expected.is_empty() {
        return Err("there is nothing to compare".to_owned());
    }
    if let Some(i) = expected.iter().position(|v| !v.is_finite()) {
        return Err(format!("the expected value {i} is {}", expected[i]));
    }
    if let Some(i) = found.iter().position(|v| !v.is_finite()) {
        return Err(format!("value {i} is {} instead of {}", found[i], expected[i]));
    }
    let scale = expected.iter().fold(1e-6, |max: f64, v| max.max(v.abs()));
    Ok(found.iter().zip(expected).fold(0.0, |max: f64, (&f, &e)| max.max((f64::from(f) - e).abs())) / scale)
}

/// Whether `found` is `expected` up to `tolerance`, relative to the largest expected value; else why not.
pub fn close(found: &[f32], expected: &[f64], tolerance: f64) -> Result<(), String> {
    let error = error(found, expected)?;
    #[allow(clippy::neg_cmp_op_on_partial_ord)] // written so that an error that is not a number fails
    if !(error <= tolerance) {
        return Err(format!("the error is {error:.3e}, more than {tolerance:.1e}"));
    }
    Ok(())
}

#[test]
fn comparison_fails_where_it_must() {
    assert!(close(&[1.0, 2.0], &[1.0, 2.0], 1e-9).is_ok());
    assert!(close(&[1.0, 2.1], &[1.0, 2.0], 1e-2).is_err());
    assert!(close(&[1.0, f32::NAN], &[1.0, 2.0], 1e-2).is_err());
    assert!(close(&[1.0, f32::INFINITY], &[1.0, 2.0], 1e-2).is_err());
    assert!(close(&[1.0], &[f64::NAN], 1e-2).is_err());
    assert!(close(&[1.0], &[1.0, 2.0], 1e-2).is_err());
    assert!(close(&[], &[], 1e-2).is_err());
}
