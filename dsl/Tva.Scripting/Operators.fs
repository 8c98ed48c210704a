/// The F# functions and operators that have an elementwise op: from a name to instructions.
module internal Tva.Scripting.Operators

open System
open System.Collections.Generic
open Tva.Core.Ops
open Tva.Dsl.Typing

/// What a value is in F#; kernels compute all of them as float32.
type Sort =
    | Real
    | Whole
    | Truth

/// A number: the instruction that gives it.
[<Struct>]
type Num = { Step: int; Sort: Sort }

/// Takes instructions down, equal ones once.
type Tape() =
    let steps = List<FSharpStep>()
    let known = Dictionary<struct (string * string), int>()
    let constants = Dictionary<float, int>(HashIdentity.Structural)
    let add step =
        steps.Add step
        steps.Count - 1

    /// What helpers written one in another may grow to.
    static member Most = 10_000
    member _.Count = steps.Count
    member _.Argument(i: int, sort) = { Step = add (FSharpStep.Argument i); Sort = sort }

    member _.Constant(v: float, sort) =
        match constants.TryGetValue v with
        | true, i -> { Step = i; Sort = sort }
        | _ ->
            constants[v] <- add (FSharpStep.Constant v)
            { Step = constants[v]; Sort = sort }

    member _.ConstantOf(n: Num) = match steps[n.Step] with FSharpStep.Constant v -> Some v | _ -> None

    member _.Apply(op: string, args: Num list, sort, struct (start, finish)) =
        let operands = args |> List.map _.Step |> Array.ofList
        let key = struct (op, String.Join(",", operands))
        match known.TryGetValue key with
        | true, i -> { Step = i; Sort = sort }
        | _ ->
            known[key] <- add (FSharpStep.Operation(op, operands, start, finish))
            { Step = known[key]; Sort = sort }

    /// With the result as the last instruction.
    member _.Finish(result: Num) = if result.Step = steps.Count - 1 then steps.ToArray() else Array.append (steps.ToArray()) [| steps[result.Step] |]

type Place = (struct (int * int))

/// A function of numbers; None where these numbers are not what it takes.
type Operator = Tape -> Place -> Num list -> Num option

/// Some names take more than the op does: `Math.Round(x, 2)`.
let private fits name (args: Num list) = OpTable.Get(OpTable.IndexOf name).Arity = args.Length

let private op name sort : Operator = fun t at args -> if fits name args then Some(t.Apply(name, args, sort, at)) else None
let private real name = op name Real
let private truth name = op name Truth

let private like name : Operator =
    fun t at args -> op name (if args |> List.forall (fun a -> a.Sort = Whole) then Whole else Real) t at args

/// Towards zero.
let private truncate (t: Tape) at (x: Num) sort =
    match t.ConstantOf x with
    | Some v -> t.Constant(Math.Truncate v, sort)
    | None ->
        let apply name args = t.Apply(name, args, Real, at)
        let negative = apply "lt" [ x; t.Constant(0.0, Real) ]
        { apply "where" [ negative; apply "neg" [ apply "floor" [ apply "neg" [ x ] ] ]; apply "floor" [ x ] ] with Sort = sort }

let private divide: Operator =
    fun t at args ->
        let quotient = t.Apply("div", args, Real, at)
        if args |> List.forall (fun a -> a.Sort = Whole) then Some(truncate t at quotient Whole) else Some quotient

let private toReal: Operator = fun _ _ args -> match args with [ x ] -> Some { x with Sort = Real } | _ -> None

let private toWhole: Operator =
    fun t at args ->
        match args with
        | [ x ] when x.Sort = Real -> Some(truncate t at x Whole)
        | [ x ] -> Some { x with Sort = Whole }
        | _ -> None

let private negate: Operator =
    fun t at args ->
        match args with
        | [ x ] when (t.ConstantOf x).IsSome -> Some(t.Constant(-(t.ConstantOf x).Value, x.Sort))
        | _ -> like "neg" t at args

let private over name (value: float) : Operator =
    fun t at args -> real name t at args |> Option.map (fun n -> t.Apply("div", [ n; t.Constant(value, Real) ], Real, at))
let private constant v : Operator = fun t _ _ -> Some(t.Constant(v, Real))

let private shared: (string * Operator) list =
    [ "abs", like "abs"; "sign", op "sign" Whole; "sqrt", real "sqrt"; "exp", real "exp"; "log", real "log"
      "sin", real "sin"; "cos", real "cos"; "acos", real "acos"; "tanh", real "tanh"; "floor", real "floor"
      "tan", (fun t at args -> Some(t.Apply("div", [ t.Apply("sin", args, Real, at); t.Apply("cos", args, Real, at) ], Real, at)))
      "truncate", (fun t at args -> match args with [ x ] -> Some(truncate t at x Real) | _ -> None)
      "min", like "min"; "max", like "max"; "log10", over "log" (Math.Log 10.0); "log2", over "log" (Math.Log 2.0)
      "ceil", (fun t at args -> Some(t.Apply("neg", [ t.Apply("floor", [ t.Apply("neg", args, Real, at) ], Real, at) ], Real, at))) ]

/// Of FSharp.Core's Operators, by F# name.
let private operators: (string * Operator) list =
    shared
    @ [ "(+)", like "add"; "(-)", like "sub"; "(*)", like "mul"; "(/)", divide; "(%)", like "rem"; "round", like "round"; "(~-)", negate
        "(~+)", (fun _ _ args -> List.tryHead args); "( ** )", real "pow"; "(**)", real "pow"; "pown", like "pow"
        "(=)", truth "eq"; "(<>)", truth "ne"; "(<)", truth "lt"; "(<=)", truth "le"; "(>)", truth "gt"; "(>=)", truth "ge"
        "``not``", truth "not"; "not", truth "not"
        "float32", toReal; "float", toReal; "double", toReal; "single", toReal; "int", toWhole; "int32", toWhole; "int64", toWhole
        "infinity", constant infinity; "infinityf", constant infinity; "nan", constant nan; "nanf", constant nan ]

/// Of System.Math, MathF, Single and Double, in lower case.
let private library: (string * Operator) list =
    (shared |> List.filter (fun (name, _) -> name <> "ceil"))
    @ [ "ceiling", snd (List.find (fst >> (=) "ceil") shared); "pow", real "pow"; "round", like "round"; "clamp", like "clamp"
        "fusedmultiplyadd", real "fma"; "isnan", (fun t at args -> match args with [ x ] -> Some(t.Apply("ne", [ x; x ], Truth, at)) | _ -> None)
        "isinfinity", (fun t at args -> match args with [ x ] -> Some(t.Apply("eq", [ t.Apply("abs", [ x ], Real, at); t.Constant(infinity, Real) ], Truth, at)) | _ -> None) ]

let private core = dict [ for name, o in operators -> "Microsoft.FSharp.Core.Operators." + name, o ]

let private dotnet =
    dict
        [ for home in [ "Math"; "MathF"; "Single"; "Double" ] do
              for name, o in library -> $"system.{home.ToLowerInvariant()}.{name}", o ]

/// The operator of that full name.
let find (fullName: string) : Operator option =
    match core.TryGetValue fullName with
    | true, o -> Some o
    | _ ->
        match dotnet.TryGetValue(fullName.ToLowerInvariant()) with
        | true, o -> Some o
        | _ -> None

/// For help lines.
let names = "arithmetic, comparisons, &&, ||, not, if, let, match on constants, pipes, ** and pown, abs, sign, sqrt, exp, log, sin, cos, tan, acos, tanh, floor, ceil, truncate, round, %, min, max, float32, float, int, their namesakes in Math and MathF, and functions made of them"
