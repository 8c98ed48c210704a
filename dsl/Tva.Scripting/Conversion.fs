/// From .NET values that F# gave to values of TVA.
module Tva.Scripting.Conversion

open System
open System.Collections
open System.Globalization
open Microsoft.FSharp.Reflection
open Tva.Dsl.Typing

/// More than any script takes; a sequence without an end is cut here.
[<Literal>]
let Most = 100_000

/// Why a value has no counterpart.
exception NoCounterpart of message: string * help: string option

let private kinds = "numbers, bools, texts, and lists, arrays, sequences, tuples, records and maps of them have a meaning in TVA"

[<Literal>]
let givesFunction = "the F# gives a function"

[<Literal>]
let functionHelp = "it becomes an operator as the whole body of a `def` with as many parameters: `def f(x: Delta): Delta = fs \"fun x -> ...\"`"

/// 0.1f is meant as 0.1, not as the float64 next to it.
let ofSingle (v: float32) = Double.Parse(v.ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture)

let rec private nameOf (t: Type) =
    if t.IsGenericType then
        let name = t.Name.Split('`')[0]
        name + "<" + String.Join(", ", t.GetGenericArguments() |> Array.map nameOf) + ">"
    else t.Name

let private isPair (t: Type) =
    t.IsGenericType
    && t.GetGenericTypeDefinition() = typedefof<Collections.Generic.KeyValuePair<_, _>>
    && t.GetGenericArguments()[0] = typeof<string>

/// Whether it goes from texts to values: an F# Map, a Dictionary.
let private isMap (t: Type) =
    t.GetInterfaces()
    |> Array.exists (fun i -> i.IsGenericType && i.GetGenericTypeDefinition() = typedefof<Collections.Generic.IEnumerable<_>> && isPair (i.GetGenericArguments()[0]))

/// Throws NoCounterpart.
let ofObject (value: objnull) : FSharpValue =
    let mutable left = Most
    let number v = FSharpValue.Number v
    let rec convert (value: objnull) : FSharpValue =
        left <- left - 1
        if left < 0 then
            raise (NoCounterpart($"the F# gives more than {Most} values", Some "a list for a script holds coefficients, not tensors"))
        match value with
        | null -> raise (NoCounterpart("the F# gives nothing (unit, None or null)", Some kinds))
        | :? float as v -> number v
        | :? float32 as v -> number (ofSingle v)
        | :? int as v -> number (float v)
        | :? bool as v -> FSharpValue.Truth v
        | :? string as v -> FSharpValue.Text v
        | :? char as v -> FSharpValue.Text(string v)
        | :? decimal as v -> number (float v)
        | :? bigint as v -> number (float v)
        | :? Half as v -> number (float v)
        | :? int64 | :? uint64 | :? uint32 | :? int16 | :? uint16 | :? sbyte | :? byte -> number (Convert.ToDouble(value, CultureInfo.InvariantCulture))
        | v ->
            let t = v.GetType()
            let pairs (items: (string * objnull) seq) = FSharpValue.Record [ for name, item in items -> name, convert item ]
            match v with
            | _ when FSharpType.IsRecord(t, true) ->
                Array.zip (FSharpType.GetRecordFields(t, true) |> Array.map _.Name) (Microsoft.FSharp.Reflection.FSharpValue.GetRecordFields(v, true)) |> pairs
            | _ when FSharpType.IsTuple t -> FSharpValue.List(Microsoft.FSharp.Reflection.FSharpValue.GetTupleFields v |> Array.map convert |> List.ofArray)
            | :? Array as a when a.Rank = 2 ->
                FSharpValue.List [ for i in 0 .. a.GetLength 0 - 1 -> FSharpValue.List [ for j in 0 .. a.GetLength 1 - 1 -> convert (a.GetValue(i, j)) ] ]
            | :? IEnumerable as items when isMap t ->
                [ for item in items do
                      let item = Unchecked.nonNull item
                      let get (name: string) = (Unchecked.nonNull (item.GetType().GetProperty name)).GetValue item
                      string (get "Key"), get "Value" ]
                |> pairs
            | :? IEnumerable as items -> FSharpValue.List [ for item in items -> convert item ]
            | _ when FSharpType.IsFunction t ->
                raise (NoCounterpart(givesFunction, Some functionHelp))
            | _ -> raise (NoCounterpart($"the F# gives a value of type {nameOf t}", Some kinds))
    convert value
