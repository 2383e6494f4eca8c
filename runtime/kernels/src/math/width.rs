//! What the two float widths differ in: layout, ranges, constants, and minimax polynomials.
//!
//! The polynomials are Remez fits of the relative error of the whole function, the coefficients rounded one after the other from the lowest up, the
//! others fitted again after each. Their error is below a quarter of an ulp unless a comment says otherwise.

use super::series::Series;

/// A float width. Pairs and triples are a constant as an unevaluated sum, each piece a float of the width.
pub trait Width: Series {
    /// 32 bits, which afford shorter ways in places.
    const NARROW: bool;
    /// Stored mantissa bits.
    const MANTISSA: u32;
    const BIAS: i64;
    /// The sign bit.
    const SIGN: i64;
    const SIGN_SHIFT: u32;
    /// 1.5 × 2^MANTISSA: added to a small float, it leaves that rounded to an integer in the low bits.
    const MAGIC: f64;
    const MIN_NORMAL: f64;
    /// Below, exp is zero, or rounds to it.
    const EXP_MIN: f64;
    /// Above, exp is infinite.
    const EXP_MAX: f64;
    /// The same of exp2.
    const EXP2_MIN: f64;
    const EXP2_MAX: f64;
    /// Above, exp(x) / 2 is infinite.
    const HALF_EXP_MAX: f64;
    /// Below, expm1 is -1.
    const EXPM1_MIN: f64;
    /// Above, tanh is 1.
    const TANH_MAX: f64;
    const LN2_HIGH: f64;
    const LN2_LOW: f64;
    /// ln 2, short enough for exact products with exponents.
    const LN2_SHORT: f64;
    const LN2_SHORT_REST: f64;
    /// Pieces rounded down, all positive, so that 0 x - 0 pieces keeps the sign of the zero x.
    const PI: [f64; 3];
    const HALF_PI: [f64; 2];
    const TWO_THIRDS: [f64; 2];
    /// Up to this |x|, three pieces of π do for sin and cos.
    const PI_LIMIT: f64;
    /// 1/π in chunks of one mantissa each, over FAR_SCALE.
    const ONE_OVER_PI: &'static [f64];
    /// What large arguments are multiplied with, so that no chunk is subnormal and no product overflows.
    const FAR_SCALE: f64;
    /// (expm1(r) - r) / r², |r| <= (ln 2) / 2.
    const EXP: &'static [f64];
    /// (log(1 + f) - f) / f², -1/4 <= f <= 1/2; narrow only.
    const LOG: &'static [f64];
    /// (2 atanh(s) - 2s) / s³ over s², for the same f, s = f / (2 + f); wide only.
    const ATANH: &'static [f64];
    /// (2 atanh(s) - 2s - (2/3) s³) / s⁵ over s².
    const ATANH_TAIL: &'static [f64];
    /// (sin(r) - r) / r³ over r², |r| <= 1.58.
    const SIN: &'static [f64];
    /// (asin(x) - x) / x³ over x², |x| <= 1/2.
    const ASIN: &'static [f64];
    /// (atan(x) - x) / x³ over x², |x| <= 1.
    const ATAN: &'static [f64];
    /// erf(x) / x - 1 over x², |x| <= ERF_SPLIT.
    const ERF: &'static [f64];
    const ERF_SPLIT: f64;
    /// Above, erf is 1.
    const ERF_MAX: f64;
    /// log(erfc(x)) over x - ERFC_MIDDLE, ERF_SPLIT <= x <= ERF_MAX.
    const ERFC: &'static [f64];
    const ERFC_MIDDLE: f64;
    /// Above, erfc is zero.
    const ERFC_MAX: f64;
    /// 1 / ln 2
    const LOG2_E: [f64; 2];
    /// log(2π) / 2
    const HALF_LOG_2_PI: [f64; 2];
    /// Where digamma is zero, rounded to nearest.
    const PSI_ROOT: [f64; 2];
    /// The cube roots of 1/2 and 2.
    const CBRT_2: [f64; 2] = [0.7937005259840998, 1.2599210498948732];
    /// erf_inv(x) / x over t = -log(1 - x²), pieces by ascending `from`.
    const ERF_INV: &'static [Piece];

    /// The least |x| whose product with chunks before `first` is a multiple of 2: 2^((mantissa + 1) (first + 1) + 1).
    fn far_threshold(first: usize) -> f64 {
        let exponent = (Self::MANTISSA as u64 + 1) * (first as u64 + 1) + 1;
        f64::from_bits((1023 + exponent) << 52)
    }
}

/// A polynomial for one range of t: in t or its root, less `middle`.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub from: f64,
    pub of_root: bool,
    pub middle: f64,
    pub coefficients: &'static [f64],
}

#[derive(Clone, Copy, Debug)]
pub struct F32;

#[derive(Clone, Copy, Debug)]
pub struct F64;

impl Width for F32 {
    const NARROW: bool = true;
    const MANTISSA: u32 = 23;
    const BIAS: i64 = 127;
    const SIGN: i64 = 1 << 31;
    const SIGN_SHIFT: u32 = 31;
    const MAGIC: f64 = 12_582_912.0;
    const MIN_NORMAL: f64 = f32::MIN_POSITIVE as f64;
    const EXP_MIN: f64 = -104.0;
    const EXP_MAX: f64 = 89.0;
    const EXP2_MIN: f64 = -151.0;
    const EXP2_MAX: f64 = 128.0;
    const HALF_EXP_MAX: f64 = 90.0;
    const EXPM1_MIN: f64 = -18.0;
    const TANH_MAX: f64 = 9.05;
    const LN2_SHORT: f64 = 0.693145751953125;
    const LN2_SHORT_REST: f64 = 1.4286068203094172e-6;
    const PI_LIMIT: f64 = 131_072.0;
    const FAR_SCALE: f64 = 2.117582368135751e-22;
    const ERF_SPLIT: f64 = 0.92;
    const ERF_MAX: f64 = 4.0;
    const ERFC_MIDDLE: f64 = 0.0;
    const ERFC_MAX: f64 = 10.06;
    const LOG2_E: [f64; 2] = [1.4426950216293335, 1.925963033500011e-08];
    const HALF_LOG_2_PI: [f64; 2] = [0.9189385175704956, 1.563417661998301e-08];
    const PSI_ROOT: [f64; 2] = [1.4616321325302124, 1.243815006546356e-08];
    const LN2_HIGH: f64 = 0.6931471824645996;
    const LN2_LOW: f64 = -1.9046542121259336e-09;
    const PI: [f64; 3] = [3.141592502593994, 1.5099578831723193e-07, 1.078060505991553e-14];
    const HALF_PI: [f64; 2] = [1.5707963705062866, -4.371138828673793e-08];
    const TWO_THIRDS: [f64; 2] = [0.6666666865348816, -1.9868215517249155e-08];
    const ONE_OVER_PI: &'static [f64] = &[
        1.5031758770391703e+21,
        60641213677568.0,
        693502.0,
        0.07684186100959778,
        2.8545793284706633e-08,
        1.3382140125981499e-15,
        6.187251911992064e-23,
        1.6655686661885787e-30,
        3.736865932421436e-37,
    ];
    const EXP: &'static [f64] =
        &[0.4999999701976776, 0.16666537523269653, 0.04166774824261665, 0.008367322385311127, 0.001383730210363865];
    const LOG: &'static [f64] = &[
        -0.5,
        0.33333462476730347,
        -0.2500019371509552,
        0.19990375638008118,
        -0.166425883769989,
        0.1447589248418808,
        -0.13210688531398773,
        0.10591979324817657,
        -0.04602885618805885,
    ];
    const ATANH: &'static [f64] = &[];
    const ATANH_TAIL: &'static [f64] = &[0.4000040292739868, 0.28524714708328247, 0.2388908714056015];
    const SIN: &'static [f64] = &[-0.16666659712791443, 0.00833306647837162, -0.00019809440709650517, 2.604940846e-06];
    const ASIN: &'static [f64] =
        &[0.16666752099990845, 0.0749531015753746, 0.0454690158367157, 0.02418563887476921, 0.04215651750564575];
    const ATAN: &'static [f64] = &[
        -0.33333298563957214,
        0.1999852955341339,
        -0.14264041185379028,
        0.1095123216509819,
        -0.08401080965995789,
        0.0579242929816246,
        -0.031150834634900093,
        0.010902592912316322,
        -0.00179129873868078,
    ];
    const ERF: &'static [f64] = &[
        0.12837915122509003,
        -0.3761250078678131,
        0.11281877756118774,
        -0.026768619194626808,
        0.004995918832719326,
        -0.000600414932705462,
    ];
    const ERFC: &'static [f64] = &[
        -0.0001960234367288649,
        -1.1276741027832031,
        -0.6371849775314331,
        -0.10392903536558151,
        0.022225594148039818,
        -0.0030428587924689054,
        0.00019589781004469842,
    ];
    const ERF_INV: &'static [Piece] = &[
        Piece {
            from: 0.0,
            of_root: false,
            middle: 3.125,
            coefficients: &[
                1.6536545753479004,
                0.24015818536281586,
                -0.006033745594322681,
                -0.000740708434022963,
                0.00018680155335459858,
                -1.3881905942980666e-05,
                -1.3897126791562187e-06,
                4.247993956596474e-07,
                -2.4733408210408925e-08,
                -4.562499711369128e-09,
                6.678549935301703e-10,
            ],
        },
        Piece {
            from: 6.25,
            of_root: true,
            middle: 3.0,
            coefficients: &[
                2.832976818084717,
                1.0016759634017944,
                0.00944424793124199,
                -0.007658348884433508,
                0.005707341246306896,
                -0.0034864170011132956,
                0.001343565178103745,
                -0.00020149665942881256,
                -1.7941812984645367e-05,
            ],
        },
    ];
}

impl Width for F64 {
    const NARROW: bool = false;
    const MANTISSA: u32 = 52;
    const BIAS: i64 = 1023;
    const SIGN: i64 = i64::MIN;
    const SIGN_SHIFT: u32 = 63;
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    const MIN_NORMAL: f64 = f64::MIN_POSITIVE;
    const EXP_MIN: f64 = -746.0;
    const EXP_MAX: f64 = 710.0;
    const EXP2_MIN: f64 = -1076.0;
    const EXP2_MAX: f64 = 1024.0;
    const HALF_EXP_MAX: f64 = 711.0;
    const EXPM1_MIN: f64 = -40.0;
    const TANH_MAX: f64 = 20.0;
    const LN2_SHORT: f64 = 0.6931471803691238;
    const LN2_SHORT_REST: f64 = 1.9082149292705877e-10;
    const PI_LIMIT: f64 = 1_099_511_627_776.0;
    const FAR_SCALE: f64 = 3.054936363499605e-151;
    const ERF_SPLIT: f64 = 1.0;
    const ERF_MAX: f64 = 6.0;
    const ERFC_MIDDLE: f64 = 3.0;
    const ERFC_MAX: f64 = 27.3;
    const LOG2_E: [f64; 2] = [std::f64::consts::LOG2_E, 2.0355273740931033e-17];
    const HALF_LOG_2_PI: [f64; 2] = [0.9189385332046728, -3.8782941580672414e-17];
    const PSI_ROOT: [f64; 2] = [1.4616321449683622, 9.549995429965697e-17];
    const LN2_HIGH: f64 = std::f64::consts::LN_2;
    const LN2_LOW: f64 = 2.3190468138462996e-17;
    const PI: [f64; 3] = [std::f64::consts::PI, 1.224646799147353e-16, 2.1657133478438278e-32];
    const HALF_PI: [f64; 2] = [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17];
    const TWO_THIRDS: [f64; 2] = [0.6666666666666666, 3.700743415417188e-17];
    const ONE_OVER_PI: &'static [f64] = &[
        1.0419525918345102e+150,
        1.1729368566953448e+134,
        1.6664282289396084e+118,
        1.3834969762629454e+102,
        5.7058009813564745e+85,
        7.857331187707711e+69,
        1.8814591738164455e+52,
        1.926131387086973e+38,
        6.14694265856744e+21,
        2717146.1412246753,
        3.503460158671695e-10,
        4.057514927283242e-26,
        1.6542567753969345e-42,
        2.002862860010498e-58,
        3.5760231742774395e-74,
        2.7863331143862927e-90,
        4.319587879731124e-106,
        8.803375524854937e-122,
        7.634469417625593e-138,
        1.1594955588710457e-153,
        8.547510128164253e-170,
        5.644945998374473e-186,
        1.3017591814870574e-201,
    ];
    const EXP: &'static [f64] = &[
        0.5,
        0.1666666666666668,
        0.04166666666666672,
        0.008333333333318942,
        0.0013888888888842618,
        0.00019841269893301397,
        2.4801587426083598e-05,
        2.755723682096988e-06,
        2.7557180382510057e-07,
        2.511162744402768e-08,
        2.094370794452063e-09,
    ];
    const LOG: &'static [f64] = &[];
    const ATANH: &'static [f64] = &[
        0.666666666666666,
        0.4000000000005777,
        0.2857142855543663,
        0.22222224348818884,
        0.1818166244261489,
        0.15391230434233222,
        0.13171533895695528,
        0.1385737443408265,
    ];
    const ATANH_TAIL: &'static [f64] = &[
        0.40000000000021657,
        0.2857142856214204,
        0.22222223736003346,
        0.1818169311454798,
        0.15390373065962834,
        0.13184098184527066,
        0.13782160198103918,
    ];
    const SIN: &'static [f64] = &[
        -0.16666666666666666,
        0.008333333333333203,
        -0.00019841269841210508,
        2.755731921115006e-06,
        -2.5052106860542956e-08,
        1.6058938582513374e-10,
        -7.642951880666239e-13,
        2.720669118111051e-15,
    ];
    const ASIN: &'static [f64] = &[
        0.1666666666666541,
        0.07500000000336605,
        0.04464285682860651,
        0.030381959126940035,
        0.022371758268876624,
        0.01735970169037364,
        0.013885264309750112,
        0.012169029306779183,
        0.006528741474579173,
        0.019526214743468655,
        -0.016221091921307905,
        0.03191013430177396,
    ];
    const ATAN: &'static [f64] = &[
        -0.3333333333333307,
        0.1999999999995175,
        -0.1428571428258443,
        0.11111111007062287,
        -0.09090906999068496,
        0.07692279736706853,
        -0.06666402732724029,
        0.05880516940293749,
        -0.05253456532893634,
        0.04722064908154488,
        -0.042183814392970594,
        0.036623158907515135,
        -0.02987017207152294,
        0.021938628704600345,
        -0.013852490181799583,
        0.007159278687742657,
        -0.002864125445099556,
        0.0008234066464955257,
        -0.00015032340790783124,
        1.3028834740479226e-05,
    ];
    const ERF: &'static [f64] = &[
        0.12837916709551256,
        -0.37612638903183343,
        0.11283791670936945,
        -0.026866170641956764,
        0.005223977596698477,
        -0.0008548325481992602,
        0.0001205528036073984,
        -1.4924462007755695e-05,
        1.6444091986285092e-06,
        -1.6183431973659638e-07,
        1.3613793275499298e-08,
        -7.601479826046305e-10,
    ];
    const ERFC: &'static [f64] = &[
        -10.720363041981113,
        -6.303753689003234,
        -0.9573942188012292,
        -0.007411891795523702,
        0.0013533104379749234,
        -0.0002456921342901309,
        4.3081790570504016e-05,
        -7.115464360037498e-06,
        1.0693915864411139e-06,
        -1.3617580913932915e-07,
        1.145726521008108e-08,
        6.304390413915848e-10,
        -6.098481956652944e-10,
        1.9193211075324353e-10,
        -4.268972880786763e-11,
        7.891400590373794e-12,
        -2.147990981746533e-12,
        5.34990696567439e-15,
        8.092165253899847e-14,
        4.671991908218108e-14,
        8.19225613566458e-15,
        -1.2422239078657364e-15,
    ];
    const ERF_INV: &'static [Piece] = &[
        Piece {
            from: 0.0,
            of_root: false,
            middle: 3.125,
            coefficients: &[
                1.6536545626831027,
                0.24015818242558767,
                -0.006033670871427579,
                -0.0007407025341486384,
                0.00018673420802350853,
                -1.3882523409921443e-05,
                -1.3654691832014763e-06,
                4.2347883640047876e-07,
                -2.907038381065479e-08,
                -4.112673776956079e-09,
                1.0512189029287846e-09,
                -5.413749993370364e-11,
                -1.2977112473411915e-11,
                2.6290602463368685e-12,
                -8.11393116463611e-14,
                -3.976635828118771e-14,
                6.590669775928587e-15,
                -6.791001917829836e-17,
                -1.2970476336289294e-16,
                1.7517735936653075e-17,
                1.1285004584141098e-18,
                -4.2777558822601646e-19,
                -6.789789438479081e-22,
                4.59466350223047e-21,
            ],
        },
        Piece {
            from: 6.25,
            of_root: true,
            middle: 3.25,
            coefficients: &[
                3.0838856104922208,
                1.0052589676941717,
                0.005370914553552801,
                -0.0037512085083368047,
                0.002491442097484882,
                -0.0016882755409190066,
                0.0009532893578561535,
                -0.0003550376592987337,
                2.4031298609284368e-05,
                6.828554021938667e-05,
                -4.731918604613295e-05,
                1.2473360888899874e-05,
                2.926392853614069e-06,
                -4.01075774844267e-06,
                1.4973581300784865e-06,
                1.5627026991254795e-08,
                -2.698329846575432e-07,
                9.164556177490854e-08,
            ],
        },
        Piece {
            from: 16.0,
            of_root: true,
            middle: 5.0,
            coefficients: &[
                4.849906401408584,
                1.0103004648645453,
                -0.00013871931838529562,
                -0.00021503011982492007,
                7.599527819183736e-05,
                -1.9681770738823692e-05,
                4.5260517374695945e-06,
                -9.930291608637106e-07,
                2.2905633594144036e-07,
                -6.755685779039221e-08,
                2.900947434859739e-08,
                -1.525400804257052e-08,
                7.83584025525024e-09,
                -3.4722534190820336e-09,
                1.3026029740285615e-09,
                -4.3715508690091543e-10,
                7.634937113077088e-11,
                4.279940308835493e-11,
                -2.183192486062975e-11,
            ],
        },
    ];
}
