/// Names between an evaluator and F#: the evaluator's become .NET values, and what F# defines becomes a text of the language.
namespace Tva.Scripting

open System
open System.Collections.Generic
open System.Threading
open Microsoft.FSharp.Reflection
open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Typing

/// What of F#'s values the evaluator has now.
type internal Returned =
    { /// Under these names.
      Names: string list
      /// Why some of them stay in F#.
      Notes: string list }

type internal Sharing(evaluator: Evaluator, session: Session, folder: string) =
    let keywords =
        set
            [ "abstract"; "and"; "as"; "assert"; "base"; "begin"; "class"; "default"; "delegate"; "do"; "done"; "downcast"; "downto"; "elif"; "else"; "end"
              "exception"; "extern"; "false"; "finally"; "fixed"; "for"; "fun"; "function"; "global"; "if"; "in"; "inherit"; "inline"; "interface"; "internal"
              "lazy"; "let"; "match"; "member"; "module"; "mutable"; "namespace"; "new"; "not"; "null"; "of"; "open"; "or"; "override"; "private"; "public"
              "rec"; "return"; "sig"; "static"; "struct"; "then"; "to"; "true"; "try"; "type"; "upcast"; "use"; "val"; "void"; "when"; "while"; "with"; "yield"
              "const"; "component"; "constraint"; "include"; "mixin"; "parallel"; "process"; "protected"; "pure"; "sealed"; "tailcall"; "trait"; "virtual" ]

    /// More is data, not what a script is made of.
    let longest = 20_000

    /// The evaluator's values that F# has, by the evaluator's names.
    let given = Dictionary<string, Value>()
    /// What stands in F# under each name, as far as it has been looked at.
    let seen = Dictionary<string, objnull>()

    let context () = Context.afterwards session.Program

    let known (value: Value) : obj option =
        let context = context ()
        let number n = Context.known context n
        match value with
        | Value.Scalar n -> number n |> Option.map (fun v -> v :> obj)
        | Value.Bool n -> number n |> Option.map (fun v -> (v <> 0.0) :> obj)
        | Value.Text t -> Some(t :> obj)
        | Value.List items ->
            let numbers = items |> List.map (function Value.Scalar n -> number n | _ -> None)
            if numbers |> List.forall Option.isSome then Some((numbers |> List.map Option.get) :> obj) else None
        | Value.Range r -> Some(Context.rangeValues r :> obj)
        | _ -> None

    /// A `def` as a curried function of its parameters without defaults: numbers and texts as such, all else as Expressions.
    let asFunction (name: string) (d: Definition) : obj option =
        let kindOf (p: Param) : Type =
            match p.Type |> Option.map _.Text with
            | Some "Scalar" -> typeof<float>
            | Some "Text" -> typeof<string>
            | Some "Bool" -> typeof<bool>
            | Some "List" -> typeof<float list>
            | _ -> typeof<Expression>
        let rec make (types: Type list) (args: objnull list) : obj =
            match types with
            | [] -> failwith "a function has parameters"
            | [ last ] -> FSharpValue.MakeFunction(FSharpType.MakeFunctionType(last, typeof<Expression>), fun x -> session.Call(name, List.rev (x :: args), []) :> objnull)
            | first :: rest -> FSharpValue.MakeFunction(FSharpType.MakeFunctionType(first, typeOf rest), fun x -> make rest (x :: args))
        and typeOf (types: Type list) : Type = List.foldBack (fun t result -> FSharpType.MakeFunctionType(t, result)) types typeof<Expression>
        match d.Params |> List.filter _.Default.IsNone |> List.map kindOf with
        | [] -> None
        | types -> Some(make types [])

    let same (a: objnull) (b: objnull) =
        obj.ReferenceEquals(a, b)
        || (match a, b with
            | (:? string as a), (:? string as b) -> a = b
            | null, _
            | _, null -> false
            | a, b -> a.GetType().IsPrimitive && a.Equals b)

    /// Looking at it runs nobody's code.
    let rec isPlain (value: objnull) =
        match value with
        | null -> false
        | :? string
        | :? decimal
        | :? bigint
        | :? Expression -> true
        | v ->
            let t = v.GetType()
            t.IsPrimitive
            || t.IsArray
            || (FSharpType.IsRecord(t, true) && Microsoft.FSharp.Reflection.FSharpValue.GetRecordFields(v, true) |> Array.forall isPlain)
            || (FSharpType.IsTuple t && Microsoft.FSharp.Reflection.FSharpValue.GetTupleFields v |> Array.forall isPlain)
            || (t.IsGenericType
                && List.contains (t.GetGenericTypeDefinition()) [ typedefof<list<_>>; typedefof<Map<_, _>>; typedefof<Set<_>>; typedefof<Dictionary<_, _>>; typedefof<List<_>> ])

    /// How a value is written in TVA, if it is one of TVA's; with why it can't be, where that is worth telling.
    let written (value: objnull) : Result<string, string option> =
        match value with
        | :? Expression as e when obj.ReferenceEquals(e.Session, session) ->
            match e.Value with
            | Value.Unit
            | Value.Unknown _ -> Result.Error None
            | _ when not e.StillSays -> Result.Error(Some $"`{e.Text}` says something else in TVA by now")
            | _ -> Result.Ok e.Text
        | v when isPlain v ->
            try
                match session.Operand v with
                | Operand.Tree(_, text)
                | Operand.Value(_, text, _, _) -> if text.Length <= longest then Result.Ok text else Result.Error None
            with :? TvaException -> Result.Error None
        | _ -> Result.Error None

    /// A name as F# has it.
    member _.NameOf(name: string, value: Value) =
        if keywords.Contains name then name + Kind.text (Context.kindOf (context ()) value) else name

    /// F# has lost its names.
    member _.Clear() =
        given.Clear()
        seen.Clear()

    /// What F# does not have yet as it is now, by the names that F# gives it.
    member this.News() : (string * obj) list =
        [ for entry in session.Checker.Names do
              let isKnown =
                  match given.TryGetValue entry.Key with
                  | true, before -> obj.ReferenceEquals(before, entry.Value)
                  | _ -> false
              if not isKnown then
                  let value =
                      match entry.Value with
                      | Value.Function f -> if f.IsPrelude then None else asFunction entry.Key f.Definition
                      | Value.Unit
                      | Value.Unknown _ -> None
                      | value -> Some(known value |> Option.defaultWith (fun () -> session.Wrap(entry.Key, value)))
                  match value with
                  | Some v ->
                      given[entry.Key] <- entry.Value
                      seen[this.NameOf(entry.Key, entry.Value)] <- v
                      this.NameOf(entry.Key, entry.Value), v
                  | None -> () ]

    /// How F#'s names differ from the evaluator's.
    member this.Renamed =
        [ for entry in session.Checker.Names do
              match entry.Value with
              | Value.Function _ | Value.Unit | Value.Unknown _ -> ()
              | v -> if this.NameOf(entry.Key, v) <> entry.Key then entry.Key, this.NameOf(entry.Key, v) ]

    /// Gives the evaluator what F# has defined, as far as TVA has such values: each as a text that it takes as if it had been typed.
    member _.Return(values: (string * objnull) list) : Returned =
        let names, notes = ResizeArray<string>(), ResizeArray<string>()
        let isNew (name: string, value) = not (seen.ContainsKey name && same seen[name] value)
        for name, value in values |> List.filter isNew do
            seen[name] <- value
            if name <> "it" && name <> "tva" && Words.isName name then
                match written value with
                | Result.Ok text ->
                    let found = evaluator.Check("<F#>", folder, $"{name} = {text}")
                    match found |> List.tryFind (fun d -> d.Severity = Tva.Dsl.Severity.Error) with
                    | Some d -> notes.Add $"`{name}` stays in F#: {d.Message}"
                    | None ->
                        evaluator.Run(ignore, CancellationToken.None) |> ignore
                        names.Add name
                        // An expression gets its name in F# too; a number stays what F# has it as.
                        match value with
                        | :? Expression -> ()
                        | _ -> given[name] <- session.Checker.Names[name]
                | Result.Error(Some why) -> notes.Add $"`{name}` stays in F#: {why}"
                | Result.Error None -> ()
        { Names = List.ofSeq names; Notes = List.ofSeq notes }
