/// Questions about trees.
namespace Tva.Dsl.Syntax

open System

module Trees =

    /// The expressions right below an expression.
    let children (e: Expr) =
        match e.Node with
        | Number _
        | Text _
        | Bool _
        | Name _
        | FSharp _
        | Error -> []
        | List items -> items
        | Block(bindings, result) -> (bindings |> List.map snd) @ [ result ]
        | Record entries -> entries |> List.map snd
        | Call(_, args) -> args |> List.map _.Value
        | Pipe(_, source, _, args) -> source :: (args |> List.map _.Value)
        | Member(x, _)
        | Unary(_, x) -> [ x ]
        | Index(x, y)
        | Binary(_, x, y) -> [ x; y ]
        | Range(a, b, by) -> a :: b :: Option.toList by

    /// Whether a function of that name is called anywhere inside.
    let rec calls (name: string) (e: Expr) =
        match e.Node with
        | Call(f, _)
        | Pipe(_, _, f, _) when f.Text = name -> true
        | _ -> children e |> List.exists (calls name)


    /// `f(x: Delta, k: Scalar = 0.1): Delta`, with the defaults' text where they are plain.
    let signature (d: Definition) =
        let rec plain (e: Expr) =
            match e.Node with
            | Number v -> v.ToString "R"
            | Text t -> $"\"{t}\""
            | Bool b -> if b then "true" else "false"
            | List items -> "[" + String.Join(", ", items |> List.map plain) + "]"
            | Unary(Negate, x) -> "-" + plain x
            | Name n -> n
            | _ -> "..."
        let one (p: Param) =
            let kind = p.Type |> Option.map (fun t -> ": " + t.Text) |> Option.defaultValue ""
            let fallback = p.Default |> Option.map (fun e -> " = " + plain e) |> Option.defaultValue ""
            p.Name.Text + kind + fallback
        let result = d.Result |> Option.map (fun t -> ": " + t.Text) |> Option.defaultValue ""
        d.Name.Text + "(" + String.Join(", ", d.Params |> List.map one) + ")" + result
