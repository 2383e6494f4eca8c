//! Tokens to a module.

use super::lex::{Token, lex};
use super::syntax::*;
use rustc_hash::FxHashMap;

/// Reads a module. What is not understood is refused, with its line.
pub fn parse(text: &str) -> Result<Module, Refusal> {
    let mut parser = Parser { tokens: lex(text)?, at: 0 };
    let mut module =
        Module { version: (0, 0), target: 0, files: Vec::new(), variables: Vec::new(), entries: Vec::new() };
    while !parser.ended() {
        parser.item(&mut module)?;
    }
    if module.version == (0, 0) || module.target == 0 {
        return Err(Refusal::new(1, "a module begins with .version and .target"));
    }
    Ok(module)
}

struct Parser<'a> {
    tokens: Vec<(Token<'a>, u32)>,
    at: usize,
}

/// Names of registers, in the innermost block last. `%f<100>` is kept as a prefix and a count.
#[derive(Default)]
struct Scope {
    names: FxHashMap<String, Reg>,
    ranges: FxHashMap<String, (u32, u32)>,
}

struct Body {
    entry: Entry,
    scopes: Vec<Scope>,
    loc: Option<Loc>,
}

impl<'a> Parser<'a> {
    fn ended(&self) -> bool {
        self.peek() == Token::End
    }

    fn peek(&self) -> Token<'a> {
        self.tokens[self.at].0
    }

    fn line(&self) -> u32 {
        self.tokens[self.at].1
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.tokens[self.at].0;
        if token != Token::End {
            self.at += 1;
        }
        token
    }

    fn refuse<T>(&self, what: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal::new(self.line(), what))
    }

    fn eat(&mut self, mark: char) -> bool {
        let found = self.peek() == Token::Mark(mark);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, mark: char) -> Result<(), Refusal> {
        if self.eat(mark) { Ok(()) } else { self.refuse(format!("expected {mark:?}, found {:?}", self.peek())) }
    }

    fn word(&mut self) -> Result<&'a str, Refusal> {
        match self.peek() {
            Token::Word(word) => {
                self.at += 1;
                Ok(word)
            }
            other => self.refuse(format!("expected a name, found {other:?}")),
        }
    }

    fn integer(&mut self) -> Result<i128, Refusal> {
        let negative = self.eat('-');
        match self.number()? {
            Operand::Int(value) => Ok(if negative { -value } else { value }),
            _ => self.refuse("expected a whole number"),
        }
    }

    fn number(&mut self) -> Result<Operand, Refusal> {
        let Token::Number(text) = self.peek() else {
            return self.refuse(format!("expected a number, found {:?}", self.peek()));
        };
        let bad = || Refusal::new(self.line(), format!("{text} is not a number of PTX"));
        let lower = text.to_ascii_lowercase();
        let value = if let Some(hex) = lower.strip_prefix("0f") {
            Operand::F32(u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 8).ok_or_else(bad)?)
        } else if let Some(hex) = lower.strip_prefix("0d") {
            Operand::F64(u64::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 16).ok_or_else(bad)?)
        } else if let Some(hex) = lower.strip_prefix("0x") {
            Operand::Int(u64::from_str_radix(hex.trim_end_matches('u'), 16).map_err(|_| bad())?.into())
        } else if lower.contains(['.', 'e']) {
            Operand::F64(lower.parse::<f64>().map_err(|_| bad())?.to_bits())
        } else {
            Operand::Int(lower.trim_end_matches('u').parse::<u64>().map_err(|_| bad())?.into())
        };
        self.at += 1;
        Ok(value)
    }

    fn item(&mut self, module: &mut Module) -> Result<(), Refusal> {
        match self.peek() {
            Token::Word(".version") => {
                self.at += 1;
                let Token::Number(text) = self.next() else { return self.refuse("expected a version") };
                let parts = text.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                let Some(version) = parts else { return self.refuse("expected a version, such as 8.0") };
                module.version = version;
            }
            Token::Word(".target") => {
                self.at += 1;
                let target = self.word()?;
                let digits = target.strip_prefix("sm_").map(|rest| rest.trim_end_matches('a'));
                match digits.and_then(|digits| digits.parse::<u32>().ok()) {
                    Some(number) if (70..=90).contains(&number) => module.target = number,
                    _ => return self.refuse(format!("the target {target} is not emulated: sm_70 to sm_90 are")),
                }
            }
            Token::Word(".address_size") => {
                self.at += 1;
                if self.integer()? != 64 {
                    return self.refuse("addresses have 64 bits");
                }
            }
            Token::Word(".file") => {
                self.at += 1;
                let number = self.integer()? as u32;
                let Token::Text(name) = self.next() else { return self.refuse("expected the name of a file") };
                module.files.push((number, name.to_string()));
                while self.eat(',') {
                    self.integer()?;
                }
            }
            _ => self.declaration(module)?,
        }
        Ok(())
    }

    /// A variable or an entry, after what its linkage says.
    fn declaration(&mut self, module: &mut Module) -> Result<(), Refusal> {
        let mut external = false;
        loop {
            match self.peek() {
                Token::Word(".visible" | ".weak") => self.at += 1,
                Token::Word(".extern") => {
                    external = true;
                    self.at += 1;
                }
                _ => break,
            }
        }
        match self.peek() {
            Token::Word(".entry") => {
                let entry = self.entry()?;
                if module.entries.iter().any(|other| other.name == entry.name) {
                    return Err(Refusal::new(entry.line, format!("there are two kernels {}", entry.name)));
                }
                module.entries.push(entry);
                Ok(())
            }
            Token::Word(word @ (".global" | ".const" | ".shared")) => {
                self.at += 1;
                let variables = self.variables(word, external)?;
                module.variables.extend(variables);
                Ok(())
            }
            other => self.refuse(format!("{other:?} is not understood here")),
        }
    }

    /// `.align 16 .b8 name[4] = {…}, …;` after the space.
    fn variables(&mut self, space: &str, external: bool) -> Result<Vec<Variable>, Refusal> {
        let space = match space {
            ".global" => Space::Global,
            ".const" => Space::Const,
            _ => Space::Shared,
        };
        let (mut align, mut lanes) = (0, 1);
        let ty = loop {
            match self.word()? {
                ".align" => align = self.integer()? as u32,
                ".v2" => lanes = 2,
                ".v4" => lanes = 4,
                word => match Type::parse(word.trim_start_matches('.')) {
                    Some(ty) if ty != Type::Pred => break ty,
                    _ => return self.refuse(format!("{word} is not a type of variables")),
                },
            }
        };
        if align != 0 && !align.is_power_of_two() {
            return self.refuse("an alignment is a power of two");
        }
        let mut variables = Vec::new();
        loop {
            let name = self.word()?.to_string();
            let mut count = Some(lanes);
            while self.eat('[') {
                if self.eat(']') {
                    count = None;
                    continue;
                }
                let size = self.integer()?;
                count = count.map(|count| count * size as u64);
                self.expect(']')?;
            }
            let mut data = Vec::new();
            if self.eat('=') {
                self.initial(ty, &mut data)?;
            }
            let bytes = match count {
                Some(count) => count * u64::from(ty.bytes()),
                None if external => 0,
                None if !data.is_empty() => data.len() as u64,
                None => return self.refuse(format!("{name} has no size")),
            };
            if data.len() as u64 > bytes {
                return self.refuse(format!("{name} has more values than places"));
            }
            if space == Space::Shared && !data.is_empty() {
                return self.refuse("shared variables have no initial value");
            }
            if external && (space != Space::Shared || bytes != 0) {
                return self.refuse(format!("{name}: only the dynamic shared array, of no size, is .extern"));
            }
            let align = align.max(ty.bytes() * lanes as u32);
            variables.push(Variable { name, space, align, bytes, external, data });
            if !self.eat(',') {
                break;
            }
        }
        self.expect(';')?;
        Ok(variables)
    }

    fn initial(&mut self, ty: Type, data: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.eat('{') {
            while !self.eat('}') {
                self.initial(ty, data)?;
                if !self.eat(',') && self.peek() != Token::Mark('}') {
                    return self.refuse("expected ',' or '}'");
                }
            }
            return Ok(());
        }
        let negative = self.eat('-');
        let bits = match (self.number()?, ty) {
            (Operand::Int(value), _) if ty.class() != Class::Float => (if negative { -value } else { value }) as u64,
            (Operand::F32(bits), Type::F32) => u64::from(bits ^ (u32::from(negative) << 31)),
            (Operand::F64(bits), Type::F32) => {
                let value = f64::from_bits(bits) as f32;
                u64::from(if negative { -value } else { value }.to_bits())
            }
            (Operand::F64(bits), Type::F64) => bits ^ (u64::from(negative) << 63),
            _ => return self.refuse(format!("this is not a value of .{}", ty.name())),
        };
        data.extend_from_slice(&bits.to_le_bytes()[..ty.bytes() as usize]);
        Ok(())
    }

    fn entry(&mut self) -> Result<Entry, Refusal> {
        self.at += 1;
        let line = self.line();
        let name = self.word()?.to_string();
        let mut params = Vec::new();
        let mut offset = 0;
        if self.eat('(') && !self.eat(')') {
            loop {
                if self.word()? != ".param" {
                    return self.refuse("expected .param");
                }
                let Some(ty) = Type::parse(self.word()?.trim_start_matches('.')) else {
                    return self.refuse("parameters are numbers of 1 to 8 bytes");
                };
                if ty == Type::Pred {
                    return self.refuse("a parameter is not a predicate");
                }
                // What a pointer points to is not looked at.
                while let Token::Word(".ptr" | ".global" | ".shared" | ".const" | ".align") = self.peek() {
                    if self.word()? == ".align" {
                        self.integer()?;
                    }
                }
                offset = u32::next_multiple_of(offset, ty.bytes());
                params.push(Param { name: self.word()?.to_string(), ty, offset });
                offset += ty.bytes();
                if !self.eat(',') {
                    break;
                }
            }
            self.expect(')')?;
        }
        let mut max_threads = None;
        loop {
            match self.peek() {
                Token::Word(".maxntid" | ".reqntid") => {
                    self.at += 1;
                    let mut threads = self.integer()?;
                    while self.eat(',') {
                        threads *= self.integer()?;
                    }
                    max_threads = Some(threads as u32);
                }
                Token::Word(".minnctapersm" | ".maxnreg") => {
                    self.at += 1;
                    self.integer()?;
                }
                _ => break,
            }
        }
        let entry = Entry {
            name,
            line,
            params,
            max_threads,
            registers: Vec::new(),
            variables: Vec::new(),
            statements: Vec::new(),
            labels: Vec::new(),
        };
        let mut body = Body { entry, scopes: Vec::new(), loc: None };
        self.expect('{')?;
        self.block(&mut body)?;
        Ok(body.entry)
    }

    fn block(&mut self, body: &mut Body) -> Result<(), Refusal> {
        body.scopes.push(Scope::default());
        while !self.eat('}') {
            match self.peek() {
                Token::End => return self.refuse("the kernel does not end"),
                Token::Mark('{') => {
                    self.at += 1;
                    self.block(body)?;
                }
                Token::Mark(';') => self.at += 1,
                Token::Word(".reg") => self.registers(body)?,
                Token::Word(word @ (".shared" | ".const" | ".global")) => {
                    self.at += 1;
                    body.entry.variables.extend(self.variables(word, false)?);
                }
                Token::Word(".pragma") => {
                    while self.next() != Token::Mark(';') {
                        if self.ended() {
                            return self.refuse("a pragma that does not end");
                        }
                    }
                }
                Token::Word(".loc") => {
                    self.at += 1;
                    let file = self.integer()? as u32;
                    let line = self.integer()? as u32;
                    let column = if let Token::Number(_) = self.peek() { self.integer()? as u32 } else { 0 };
                    body.loc = Some(Loc { file, line, column });
                }
                Token::Word(name) if self.tokens[self.at + 1].0 == Token::Mark(':') => {
                    if body.entry.labels.iter().any(|(other, ..)| other == name) {
                        return self.refuse(format!("there are two labels {name}"));
                    }
                    let line = self.line();
                    body.entry.labels.push((name.to_string(), body.entry.statements.len(), line));
                    self.at += 2;
                }
                _ => self.statement(body)?,
            }
        }
        body.scopes.pop();
        Ok(())
    }

    fn registers(&mut self, body: &mut Body) -> Result<(), Refusal> {
        self.at += 1;
        let word = self.word()?;
        let ty = match Type::parse(word.trim_start_matches('.')) {
            Some(ty) if ty == Type::Pred || ty.bytes() > 1 => ty,
            _ => return self.refuse(format!("registers of type {word} are not emulated")),
        };
        loop {
            let name = self.word()?.to_string();
            let scope = body.scopes.last_mut().expect("a block is open");
            let first = body.entry.registers.len() as u32;
            if scope.names.contains_key(&name) || scope.ranges.contains_key(&name) {
                return self.refuse(format!("there are two registers {name}"));
            }
            if self.eat('<') {
                let count = self.integer()?;
                if !(0..=1 << 20).contains(&count) {
                    return self.refuse("too many registers");
                }
                self.expect('>')?;
                let scope = body.scopes.last_mut().expect("a block is open");
                for i in 0..count {
                    body.entry.registers.push(Register { name: format!("{name}{i}"), ty });
                }
                scope.ranges.insert(name, (first, count as u32));
            } else {
                scope.names.insert(name.clone(), Reg(first));
                body.entry.registers.push(Register { name, ty });
            }
            if !self.eat(',') {
                break;
            }
        }
        self.expect(';')
    }

    fn statement(&mut self, body: &mut Body) -> Result<(), Refusal> {
        let line = self.line();
        let mut guard = None;
        if self.eat('@') {
            let negated = self.eat('!');
            let name = self.word()?;
            let Some(reg) = find(body, name) else { return self.refuse(format!("{name} is not declared")) };
            if body.entry.registers[reg.0 as usize].ty != Type::Pred {
                return self.refuse(format!("{name} is not a predicate"));
            }
            guard = Some((reg, negated));
        }
        let opcode = self.word()?.to_string();
        let mut operands = Vec::new();
        while !self.eat(';') {
            operands.push(self.operand(body)?);
            if !self.eat(',') && self.peek() != Token::Mark(';') {
                return self.refuse(format!("expected ',' or ';', found {:?}", self.peek()));
            }
        }
        body.entry.statements.push(Statement { line, loc: body.loc, guard, opcode, operands });
        Ok(())
    }

    fn operand(&mut self, body: &Body) -> Result<Operand, Refusal> {
        let first = self.simple(body)?;
        if !self.eat('|') {
            return Ok(first);
        }
        let second = self.simple(body)?;
        Ok(Operand::Pair(Box::new(first), Box::new(second)))
    }

    fn simple(&mut self, body: &Body) -> Result<Operand, Refusal> {
        match self.peek() {
            Token::Number(_) => self.number(),
            Token::Mark('-') => {
                self.at += 1;
                Ok(match self.number()? {
                    Operand::Int(value) => Operand::Int(-value),
                    Operand::F64(bits) => Operand::F64(bits ^ 1 << 63),
                    Operand::F32(bits) => Operand::F32(bits ^ 1 << 31),
                    _ => return self.refuse("expected a number"),
                })
            }
            Token::Mark('!') => {
                self.at += 1;
                match self.simple(body)? {
                    Operand::Reg(reg) => Ok(Operand::Not(reg)),
                    _ => self.refuse("'!' stands before a predicate"),
                }
            }
            Token::Mark('{') => {
                self.at += 1;
                let mut list = Vec::new();
                while !self.eat('}') {
                    list.push(self.simple(body)?);
                    if !self.eat(',') && self.peek() != Token::Mark('}') {
                        return self.refuse("expected ',' or '}'");
                    }
                }
                Ok(Operand::List(list))
            }
            Token::Mark('[') => {
                self.at += 1;
                let base = self.simple(body)?;
                let mut offset = 0;
                if self.eat('+') || self.peek() == Token::Mark('-') {
                    offset = self.integer()? as i64;
                }
                self.expect(']')?;
                Ok(Operand::Memory(Box::new(base), offset))
            }
            Token::Word("_") => {
                self.at += 1;
                Ok(Operand::Sink)
            }
            Token::Word(name) => {
                self.at += 1;
                if let Some(reg) = find(body, name) {
                    return Ok(Operand::Reg(reg));
                }
                if name.starts_with('%') {
                    return Ok(Operand::Special(name.to_string()));
                }
                Ok(Operand::Name(name.to_string()))
            }
            other => self.refuse(format!("{other:?} is not an operand")),
        }
    }
}

/// The register of a name, in the innermost block that declares it.
fn find(body: &Body, name: &str) -> Option<Reg> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &name[stem.len()..];
    let number = if digits.len() > 1 && digits.starts_with('0') { None } else { digits.parse::<u32>().ok() };
    body.scopes.iter().rev().find_map(|scope| {
        scope.names.get(name).copied().or_else(|| {
            let (first, count) = *scope.ranges.get(stem)?;
            number.filter(|n| *n < count).map(|n| Reg(first + n))
        })
    })
}
