/// The infix and prefix operators with how tightly they bind: the parser and the printer read this one table.
namespace Tva.Dsl.Syntax

type Associativity =
    | Left
    | Right
    /// `a < b < c` and `0..1..2` are errors.
    | Never

type InfixKind =
    | Operation of BinaryOp
    /// `a..b`, perhaps `by c`.
    | Interval
    /// `x |> f(a)`; `@` is read with the postfix forms, as tight as them.
    | LoosePipe

type Infix =
    { Symbol: string
      /// The higher, the tighter.
      Power: int
      Associativity: Associativity
      Kind: InfixKind }

module Operators =

    /// How tightly the forms without an infix symbol bind.
    [<Literal>]
    let Prefix = 8

    [<Literal>]
    let Postfix = 10

    let private row power associativity operators =
        [ for symbol, kind in operators do
              { Symbol = symbol; Power = power; Associativity = associativity; Kind = kind } ]

    let table =
        List.concat
            [ row 1 Left [ "|>", LoosePipe ]
              row 2 Left [ "or", Operation Or ]
              row 3 Left [ "and", Operation And ]
              row 4 Never [ "<", Operation Less; "<=", Operation LessEqual; ">", Operation Greater; ">=", Operation GreaterEqual ]
              row 4 Never [ "==", Operation Equal; "!=", Operation NotEqual ]
              row 5 Never [ "..", Interval ]
              row 6 Left [ "+", Operation Add; "-", Operation Subtract ]
              row 7 Left [ "*", Operation Multiply; "/", Operation Divide ]
              // 8 is unary `-` and `not`: `-x ^ 2` is `-(x ^ 2)`.
              row 9 Right [ "^", Operation Power ] ]

    let private bySymbol = table |> List.map (fun row -> row.Symbol, row) |> dict
    let private byOperator = table |> List.map (fun row -> row.Kind, row) |> dict

    let tryInfix symbol =
        match bySymbol.TryGetValue symbol with
        | true, row -> ValueSome row
        | _ -> ValueNone

    let infix (op: BinaryOp) = byOperator[Operation op]
    let interval = byOperator[Interval]
    let loosePipe = byOperator[LoosePipe]

    /// The least power an operand may have without brackets, left and right.
    let operands (row: Infix) =
        match row.Associativity with
        | Left -> struct (row.Power, row.Power + 1)
        // The right side of `^` may be a prefix form: `2 ^ -1`.
        | Right -> struct (row.Power + 1, Prefix)
        | Never -> struct (row.Power + 1, row.Power + 1)

    let symbol op = (infix op).Symbol

    let unary op =
        match op with
        | Negate -> "-"
        | Not -> "not "
