/// From the compiler's typed tree of a function of scalars to instructions: functions are inlined, branches become choices, and what has
/// no elementwise counterpart is refused at its place.
module internal Tva.Scripting.Elementwise

open System
open System.Collections.Generic
open FSharp.Compiler.Symbols
open FSharp.Compiler.Symbols.FSharpExprPatterns
open FSharp.Compiler.Text
open Tva.Scripting.Operators

exception Refused of range: range * message: string * help: string option

/// What an expression stands for while it is translated.
type Meaning =
    | Number of Num
    | Function of (range -> Meaning -> Meaning)
    | Tuple of Meaning list
    | Nothing

/// Definitions of the texts, by name, as the compiler has them.
type Definitions = IReadOnlyDictionary<FSharpMemberOrFunctionOrValue, FSharpMemberOrFunctionOrValue list list * FSharpExpr>

let private refuse range message help : 'a = raise (Refused(range, message, help))
let private known = Some $"these have one: {Operators.names}"

/// Functions of functions, which are gone once they are inlined; of FSharp.Core's Operators.
let private combinators = set [ "(|>)"; "(<|)"; "(>>)"; "(<<)"; "(||>)"; "id"; "fst"; "snd" ]

let private nameOf (v: FSharpMemberOrFunctionOrValue) =
    let name = v.DisplayName.Trim('(', ')', ' ')
    match v.DeclaringEntity with
    | Some e when e.DisplayName <> "Operators" && not (e.DisplayName.StartsWith "Tva") -> $"{e.DisplayName}.{name}"
    | _ -> name

let private fullName (v: FSharpMemberOrFunctionOrValue) =
    match v.DeclaringEntity with
    | Some e ->
        match e.TryFullName with
        | Some home -> $"{home}.{v.DisplayName}"
        | None -> v.DisplayName
    | None -> v.DisplayName

/// The name within FSharp.Core's Operators; empty elsewhere.
let private shortName (v: FSharpMemberOrFunctionOrValue) =
    let home = "Microsoft.FSharp.Core.Operators."
    let name = fullName v
    if name.StartsWith(home, StringComparison.Ordinal) then name.Substring home.Length else ""

type Translator(definitions: Definitions, place: range -> Place) =
    let tape = Tape()
    let mutable depth = 0
    let mutable work = 0

    let number (range: range) meaning =
        match meaning with
        | Number n -> n
        | Function _ -> refuse range "a function stands where a number is wanted" (Some "does it have all its arguments?")
        | Tuple _ -> refuse range "a tuple stands where a number is wanted" None
        | Nothing -> refuse range "`()` stands where a number is wanted" None

    let apply range f x =
        match f with
        | Function f -> f range x
        | _ -> refuse range "this is applied, but is no function" None

    let constant (range: range) (value: objnull) : Meaning =
        let whole v = Number(tape.Constant(v, Whole))
        match value with
        | :? float32 as v -> Number(tape.Constant(Conversion.ofSingle v, Real))
        | :? float as v -> Number(tape.Constant(v, Real))
        | :? bool as v -> Number(tape.Constant((if v then 1.0 else 0.0), Truth))
        | :? int as v -> whole (float v)
        | :? int64 as v -> whole (float v)
        | :? int16 as v -> whole (float v)
        | :? byte as v -> whole (float v)
        | null -> Nothing
        | v when v.GetType().Name = "Unit" -> Nothing
        | v -> refuse range $"a {v.GetType().Name} has no elementwise counterpart" (Some "elements are float32; write `0.5f`, `0.5` or `1`")

    let rec choose (range: range) (c: Num) (a: Meaning) (b: Meaning) : Meaning =
        match a, b with
        | Number x, Number y ->
            let isConstant v (n: Num) = n.Sort = Truth && tape.ConstantOf n = Some v
            let logic op args = Number(tape.Apply(op, args, Truth, place range))
            if x.Step = y.Step then Number x
            // How the compiler has `c && x`, `c || y` and `not c`.
            elif isConstant 0.0 x && isConstant 1.0 y then logic "not" [ c ]
            elif isConstant 1.0 x && isConstant 0.0 y then Number c
            elif isConstant 0.0 y then logic "and" [ c; x ]
            elif isConstant 1.0 x then logic "or" [ c; y ]
            else Number(tape.Apply("where", [ c; x; y ], x.Sort, place range))
        | Tuple xs, Tuple ys when xs.Length = ys.Length -> Tuple(List.map2 (choose range c) xs ys)
        | Function f, Function g -> Function(fun r x -> choose range c (f r x) (g r x))
        | Nothing, Nothing -> Nothing
        | _ -> refuse range "the branches are not of one kind" None

    /// A function of so many arguments, taken one by one.
    let curried count (body: range -> Meaning list -> Meaning) : Meaning =
        let rec take left args = Function(fun r x -> if left = 1 then body r (List.rev (x :: args)) else take (left - 1) (x :: args))
        take count []

    /// Instructions of which F# has several names.
    let combinator name (range: range) (args: Meaning list) =
        match name, args with
        | "(|>)", [ x; f ]
        | "(<|)", [ f; x ] -> apply range f x
        | "(||>)", [ x; y; f ] -> apply range (apply range f x) y
        | "(>>)", [ f; g ] -> Function(fun r x -> apply r g (apply r f x))
        | "(<<)", [ g; f ] -> Function(fun r x -> apply r g (apply r f x))
        | "id", [ x ] -> x
        | "fst", [ Tuple [ x; _ ] ]
        | "snd", [ Tuple [ _; x ] ] -> x
        | _ -> refuse range $"`{name}` has no elementwise counterpart here" known

    member private this.Inlined(range: range, v: FSharpMemberOrFunctionOrValue, parameters: FSharpMemberOrFunctionOrValue list list, body: FSharpExpr, args: Meaning list) =
        let names = List.concat parameters
        if depth > 200 then
            refuse range $"`{nameOf v}` calls itself" (Some "an elementwise function is inlined, so it can only call functions defined above it")
        // `f ()` has a parameter in its definition and none, or a unit, at its call.
        let args = if names.Length > args.Length && args |> List.forall _.IsNothing then args @ List.replicate (names.Length - args.Length) Nothing else args
        if args.Length < names.Length then
            curried (names.Length - args.Length) (fun r more -> this.Inlined(r, v, parameters, body, args @ more))
        else
            depth <- depth + 1
            let env = (Map.empty, List.zip names (List.truncate names.Length args)) ||> List.fold (fun env (name, arg) -> this.Bind(env, name, arg))
            let result = this.Translate(env, [], body)
            depth <- depth - 1
            (result, List.skip names.Length args) ||> List.fold (apply range)

    member private _.Bind(env: Map<string, (FSharpMemberOrFunctionOrValue * Meaning) list>, v, meaning) =
        let others = env.TryFind v.LogicalName |> Option.defaultValue []
        env.Add(v.LogicalName, (v, meaning) :: others)

    /// Whether a name stands for something here; asked before its arguments are looked at, so that the name is blamed and not they.
    member private _.IsKnown(env: Map<string, (FSharpMemberOrFunctionOrValue * Meaning) list>, v: FSharpMemberOrFunctionOrValue) =
        (env.TryFind v.LogicalName |> Option.exists (List.exists (fun (other, _) -> other.Equals v)))
        || definitions.ContainsKey v
        || combinators.Contains(shortName v)
        || (Operators.find (fullName v)).IsSome

    member private this.Named(env: Map<string, (FSharpMemberOrFunctionOrValue * Meaning) list>, range: range, v: FSharpMemberOrFunctionOrValue, args: Meaning list) : Meaning =
        let local = env.TryFind v.LogicalName |> Option.bind (List.tryFind (fun (other, _) -> other.Equals v))
        match local with
        | Some(_, meaning) -> (meaning, args) ||> List.fold (apply range)
        | None ->
            if v.IsMutable then
                refuse range $"`{nameOf v}` is mutable, and elements are computed in no order" (Some "bind a new name instead")
            match definitions.TryGetValue v with
            | true, (parameters, body) -> this.Inlined(range, v, parameters, body, args)
            | _ ->
                if combinators.Contains(shortName v) then
                    combinator (shortName v) range args
                else
                    match Operators.find (fullName v) with
                    | Some f ->
                        match f tape (place range) (args |> List.map (number range)) with
                        | Some n -> Number n
                        | None -> refuse range $"`{nameOf v}` has no elementwise counterpart with these arguments" known
                    | None -> refuse range $"`{nameOf v}` has no elementwise counterpart" known

    /// The meaning of an expression; `targets` are those of the `match` it stands in.
    member this.Translate(env, targets: (FSharpMemberOrFunctionOrValue list * FSharpExpr) list, e: FSharpExpr) : Meaning =
        work <- work + 1
        if tape.Count > Tape.Most || work > 20 * Tape.Most then
            refuse e.Range $"the function has more than {Tape.Most} operations once all is inlined" (Some "name what is used twice: `let y = f x` and then `y + y`")
        let go e = this.Translate(env, targets, e)
        match e with
        | Const(value, _) -> constant e.Range value
        | Value v -> this.Named(env, e.Range, v, [])
        | Call(None, v, _, _, _) when not (this.IsKnown(env, v)) -> refuse e.Range $"`{nameOf v}` has no elementwise counterpart" known
        | Call(None, v, _, _, args) -> this.Named(env, e.Range, v, args |> List.map go)
        | Lambda(v, body) -> Function(fun _ x -> this.Translate(this.Bind(env, v, x), targets, body))
        | Application(f, _, args) -> (go f, args) ||> List.fold (fun f x -> apply e.Range f (go x))
        | Let((v, value, _), _) when v.IsMutable ->
            ignore value
            refuse e.Range $"`{nameOf v}` is mutable, and elements are computed in no order" (Some "bind a new name instead: `let y = ...`")
        | Let((v, value, _), body) -> this.Translate(this.Bind(env, v, go value), targets, body)
        | IfThenElse(condition, a, b) ->
            let c = number condition.Range (go condition)
            match tape.ConstantOf c with
            | Some v -> if v <> 0.0 then go a else go b
            | None -> choose e.Range c (go a) (go b)
        | DecisionTree(decision, targets) -> this.Translate(env, targets, decision)
        | DecisionTreeSuccess(i, values) ->
            let names, body = targets[i]
            let env = (env, List.zip names values) ||> List.fold (fun env (v, value) -> this.Bind(env, v, go value))
            this.Translate(env, targets, body)
        | NewTuple(_, items) -> Tuple(items |> List.map go)
        | TupleGet(_, i, t) ->
            match go t with
            | Tuple items -> items[i]
            | _ -> refuse e.Range "this is no tuple" None
        | TypeLambda(_, body) -> go body
        | Coerce(_, inner) -> go inner
        | Sequential(first, second) ->
            match go first with
            | Nothing -> go second
            | _ -> refuse first.Range "this value is lost" None
        | LetRec((v, _, _) :: _, _) -> refuse e.Range $"`{nameOf v}` calls itself" (Some "elements are computed without loops; a fixed number of steps can be written out")
        | FastIntegerForLoop _
        | WhileLoop _ -> refuse e.Range "a loop has no elementwise counterpart" (Some "elements are computed without loops; a fixed number of steps can be written out as functions")
        | ValueSet(v, _) -> refuse e.Range $"`{nameOf v}` is set, and elements are computed in no order" (Some "bind a new name instead: `let y = ...`")
        | TryWith _
        | TryFinally _ -> refuse e.Range "exceptions have no elementwise counterpart" (Some "use `if`; 0/0 is NaN and 1/0 infinity")
        | Call(Some _, v, _, _, _) -> refuse e.Range $"`{nameOf v}` has no elementwise counterpart" known
        | NewUnionCase _
        | NewArray _
        | NewObject _
        | NewRecord _
        | NewAnonRecord _ -> refuse e.Range "data has no elementwise counterpart; only scalars and tuples have" known
        | _ -> refuse e.Range "this has no elementwise counterpart" known

    /// The function applied to its parameters, as instructions.
    member this.Function(f: FSharpMemberOrFunctionOrValue list list * FSharpExpr, range: range, v: FSharpMemberOrFunctionOrValue, parameters: bool list) =
        let args = parameters |> List.mapi (fun i isTruth -> Number(tape.Argument(i, (if isTruth then Truth else Real))))
        let result =
            match this.Inlined(range, v, fst f, snd f, args) with
            | Number n -> n
            | Function _ -> refuse range $"the function takes more than {parameters.Length} arguments" None
            | Tuple _ -> refuse range "the function gives a tuple" (Some "an operator gives one number for each element")
            | Nothing -> refuse range "the function gives `()`" (Some "an operator gives one number for each element")
        tape.Finish result, result.Sort = Truth
