use super::*;

fn drawing() -> Drawing {
    let curve = |name: &str, millis: &[f64]| Curve {
        name: name.to_owned(),
        millis: millis.to_vec(),
    };
    Drawing {
        title: "Overshoot <beyond> the deadline".into(),
        axis: "ms after the deadline".into(),
        panels: vec![
            Panel {
                title: "idle".into(),
                curves: vec![
                    curve("keepalived 10 ms", &[0.2, 0.3, 1.1]),
                    curve("hb 10/30 ms", &[0.05, 0.1, 0.09]),
                ],
            },
            Panel {
                title: "fifo-99".into(),
                curves: vec![curve("hb 10/30 ms", &[0.1, 0.2, 900.0])],
            },
        ],
        caption: vec!["3 runs each".into()],
    }
}

#[test]
fn a_distribution_climbs_by_one_share_at_each_value() {
    let found = steps(&[5.0, 1.0, 1.0, 2.0]);
    let expected = [
        (1.0, 0.0),
        (1.0, 25.0),
        (1.0, 25.0),
        (1.0, 50.0),
        (2.0, 50.0),
        (2.0, 75.0),
        (5.0, 75.0),
        (5.0, 100.0),
    ];
    let bits = |points: &[(f64, f64)]| {
        points
            .iter()
            .map(|(x, y)| (x.to_bits(), y.to_bits()))
            .collect::<Vec<_>>()
    };
    assert_eq!(bits(&found), bits(&expected));
    assert!(steps(&[]).is_empty());
}

#[test]
fn every_name_is_in_the_legend_once_and_keeps_its_colour() {
    let drawing = drawing();
    let names = names(&drawing);
    assert_eq!(names, ["hb 10/30 ms", "keepalived 10 ms"]);
    assert_eq!(colour("keepalived 10 ms", &names), CURVES[2]);
    let twice = ["hb 10/30 ms", "hb 5/15 ms"];
    assert_ne!(colour(twice[0], &twice), colour(twice[1], &twice));
}

#[test]
fn a_drawing_is_one_well_formed_document_with_a_dark_side() -> Result<()> {
    let svg = svg(&drawing())?;
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
    assert!(
        svg.contains("prefers-color-scheme: dark") && svg.contains("viewBox=\"0 0 960"),
        "{svg}"
    );
    assert!(svg.contains("Overshoot &lt;beyond&gt; the deadline"), "{svg}");
    // A curve each: three, and nothing else is drawn with that width.
    assert_eq!(svg.matches("stroke-width=\"2\"").count(), 3, "{svg}");
    // Each colour that a curve may have is another one in the dark.
    for (light, _) in DARK {
        assert_eq!(DARK.iter().filter(|(other, _)| *other == light).count(), 1);
    }
    Ok(())
}
