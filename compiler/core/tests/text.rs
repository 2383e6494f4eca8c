//! The textual form: reading undoes printing.

mod common;

use common::program;
use whorl_core::names::Attribute;
use whorl_core::prim::{Binary, Compare, Unary};
use whorl_core::print::{lit_text, print, print_with};
use whorl_core::read::read;
use whorl_core::{DType, Lit, Prim};

const EXAMPLE: &str = r#"{ %0 "x" : f32[4], %1 : i32 ->
  %2 : f32 = constant [1.5]
  %3 : f32[0] = constant []
  %4 : bool[2] = constant [true, false]
  %5 : f32[3] = constant [inf, -inf, 0x7fc00000]
  %6 : f32[4], %7 : f32 = map %8 "lane" < 4 with %9 : f32[4] = %0 {
    %10 : f32 = index(%0, %8)
    %11 : f32[4] = index_add(%9, %10, %8)
    %11, %10
  }
  scan reverse train %12 < 3 {
    log "a \"quoted\"\\\nname" (%12, true)
  }
  %13 : f32 = while max 7 checkpoint every 3 with %14 : f32 = f32(inf), %15 : f32 = -1e-7f32 {
    %16 : bool = lt(%14, %15)
    %16
  } {
    %14, %15
  }
  %17 : i32 = switch %1 {
    1i32
  } {
    -2i32
  } {
    %1
  }
  assert "fine" (true, true)
  %18 : f32[2,4] = broadcast[shape=2,4 axes=1](%0)
  %19 : f32[2,4] = cumulative[op=sum axis=0 reverse](%18)
  %20 : f32[2,2] = dot[lhs_contract=1 rhs_contract=1](%18, %19)
  %20
}
"#;

#[test]
fn printing_gives_back_what_was_read() {
    let p = program(EXAMPLE);
    assert_eq!(print(&p), EXAMPLE);
    assert_eq!(program(&print(&p)), p);
    // Gaps close.
    assert_eq!(
        program("{ %3 : f32, %9 : i32 -> %7 : f32 = neg(%3) %9 }"),
        program("{ %0 : f32, %2 : i32 -> %1 : f32 = neg(%0) %2 }")
    );
}

#[test]
fn comments_name_lines() {
    let p = program("{ %0 : f32 -> %1 : f32 = neg(%0) // a comment\n %1 }");
    assert_eq!(
        print_with(&p, &|_| Some("nn.whorl:3".into())),
        "{ %0 : f32 ->\n  %1 : f32 = neg(%0) // nn.whorl:3\n  %1\n}\n"
    );
}

#[test]
fn every_primitive_reads_back() {
    let example = |d: DType| -> Vec<Prim> {
        let elementwise = (Unary::ALL.iter().map(|op| Prim::Unary(*op)))
            .chain(Binary::ALL.iter().map(|op| Prim::Binary(*op)))
            .chain(Compare::ALL.iter().map(|op| Prim::Compare(*op)));
        let text = "convert[to=f64] bitcast[to=u8] select mul_add stop_gradient threefry";
        let mut all: Vec<Prim> = elementwise.chain([Prim::Convert(d), Prim::Bitcast(d)]).collect();
        all.extend(text.split(' ').skip(2).map(|name| Prim::from_text(name, Vec::new()).unwrap()));
        all
    };
    let others = "iota[n=4] broadcast[shape=2,3_axes=1] reshape[shape=] transpose[perm=1,0] \
        slice[starts=0,1_shape=2,1_strides=1,1] pad[low=1_high=0_interior=2] pad[low=_high=_interior=] reverse[axes=0,1] \
        concat[axis=1] index index[window=3] index_set index_set[window=1] index_add index_add[window=2] \
        reduce[op=prod_axes=0,2] reduce[op=all_axes=] argmax[axis=0] argmin[axis=1] cumulative[op=max_axis=0] \
        cumulative[op=any_axis=0_reverse] dot dot[lhs_batch=0_rhs_batch=1_lhs_contract=1,2_rhs_contract=0,2] sort[axis=0_keys=2]";
    for text in others.split_whitespace() {
        let text = text.replace('_', " ").replace("index set", "index_set").replace("index add", "index_add");
        let text = text.replace("lhs ", "lhs_").replace("rhs ", "rhs_");
        let p = program(&format!("{{ -> %0 : f32 = {text}() }}"));
        let whorl_core::Op::Prim(prim, _) = &p.main.body.stmts[0].op else { panic!("{text}") };
        assert_eq!(whorl_core::print::prim_text(prim), text);
    }
    for prim in DType::ALL.into_iter().flat_map(example) {
        let attributes: Vec<(String, Attribute)> =
            prim.attributes().into_iter().map(|(name, a)| (name.to_string(), a)).collect();
        assert_eq!(Prim::from_text(prim.name(), attributes), Ok(prim));
    }
}

#[test]
fn literals_keep_their_bits() {
    let floats = [0.0f32, -0.0, 1.0, 1e-7, f32::MIN_POSITIVE, 1e-45, 3.4028235e38, f32::INFINITY, f32::NEG_INFINITY];
    let mut all: Vec<Lit> = floats.into_iter().map(Lit::f32).collect();
    all.extend([f32::from_bits(0x7fc0_0001), f32::from_bits(0xffc0_0000)].map(Lit::f32));
    all.extend([0.1, -1e300, f64::NAN, 5e-324, f64::INFINITY].map(Lit::f64));
    all.extend([Lit::i32(i32::MIN), Lit::i32(0), Lit::u32(u32::MAX), Lit::u8(255), Lit::bool(true), Lit::bool(false)]);
    for lit in all {
        let p = program(&format!("{{ -> {} }}", lit_text(&lit)));
        assert_eq!(p.main.body.results[0], lit.into(), "{}", lit_text(&lit));
    }
}

#[test]
fn errors_name_the_line() {
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(error("{ ->\n  %1 : f32 = neg(%0)\n}"), "line 2: %0 is not bound before");
    assert_eq!(error("{ ->\n  %1 : f32 = negate(1.0f32)\n}"), "line 2: no primitive is called `negate`");
    assert!(error("{ -> %0 : f32 = iota[m=3]() }").contains("`n=`"));
    assert!(error("{ %0 : f32, %0 : f32 -> }").contains("bound twice"));
    assert!(error("{ -> 1.0 }").contains("no literal"));
    assert!(error("{ -> %0 : f32[2] = constant [1.0] %0 }").contains("1 elements for a constant of 2"));
    assert!(error("{ %0 : f32[9999999999,9999999999] -> }").contains("too large"));
    assert!(error("{ -> %0 : i32[1] = map %1 < 1 ").contains("expected"));
}

/// Any cut, and any one changed character, of a program gives a program or an error.
#[test]
fn nothing_makes_the_reader_panic() {
    for at in 0..EXAMPLE.len() {
        let _ = read(&EXAMPLE[..at]);
        for c in ["", "%", "{", "}", "\"", "9", "-", "[", "=", "é", "\\"] {
            if let Ok(p) = read(&format!("{}{c}{}", &EXAMPLE[..at], &EXAMPLE[at + 1..])) {
                // Neither does the verifier.
                let _ = whorl_core::verify::verify(&p);
                assert_eq!(read(&print(&p)), Ok(p));
            }
        }
    }
    let mut deep = String::from("{ ->");
    for k in 0..5000 {
        deep.push_str(&format!("%{} : i32[1] = map %{} < 1 {{", 2 * k, 2 * k + 1));
    }
    assert!(read(&deep).is_err());
}

#[test]
fn halves_read_as_written() {
    for half in [DType::F16, DType::BF16] {
        let shown: Vec<Lit> = (0..=u16::MAX).step_by(7).map(|x| Lit { dtype: half, bits: x as u64 }).collect();
        for lit in shown {
            let text = format!("{{ -> %0 : {} = stop_gradient({}) %0 }}", half.name(), lit_text(&lit));
            let p = read(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let whorl_core::Op::Prim(_, args) = &p.main.body.stmts[0].op else { panic!("{text}") };
            assert_eq!(args[0], lit.into(), "{text}");
        }
    }
}

/// What the builder writes for arithmetic of halves is what the type rule promises, and Core.
#[test]
fn arithmetic_of_halves_is_written_out() {
    use whorl_core::{Builder, Function, Program, Type};
    let mut b = Builder::default();
    let x = b.fresh(Type::new(DType::BF16, &[3]));
    b.begin();
    let twice = b.mul(x.into(), Lit::of(DType::BF16, 2.0).into());
    let body = b.end(vec![twice]);
    let p = Program { vars: b.vars, main: Function { params: vec![x], body } };
    whorl_core::verify::verify(&p).expect("Core");
    let lines = ["convert[to=f32](%0)", "mul(%1, 2.0f32)", "convert[to=bf16](%2)"];
    let text = print(&p);
    assert!(lines.iter().all(|l| text.contains(l)), "{text}");
}
