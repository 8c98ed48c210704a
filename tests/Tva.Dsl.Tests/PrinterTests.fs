module Tva.Dsl.Tests.PrinterTests

open System
open FsCheck
open FsCheck.FSharp
open Xunit
open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Tests.Trees

let private node expr : Expr = { Node = expr; Span = Span.None }
let private ident text : Ident = { Text = text; Span = Span.None }

let private names = [ "a"; "b"; "τ"; "λ_1"; "by"; "where"; "else"; "e5"; "sum"; "x"; "É" ]
let private name = Gen.elements names

/// Any text without half characters: quotes, escapes, controls, emoji.
let private text =
    let pieces =
        [ "a"; "*.attn.*"; " "; "\""; "\\"; "\n"; "\r"; "\t"; "\000"; "'"; "#"; "{"; "τ"; "😀"; "\u2028"; "\"\"\""; "model.safetensors" ]
    Gen.elements pieces |> Gen.listOf |> Gen.resize 5 |> Gen.map (String.concat "")

let private number =
    Gen.oneof
        [ Gen.choose (0, 20) |> Gen.map float
          Gen.choose (0, 1000) |> Gen.map (fun n -> float n / 128.0)
          Gen.elements [ 0.1; 1e-7; 1e22; Double.MaxValue; Double.Epsilon; 1.0 / 3.0; 123456789012345680.0 ] ]

let private few gen = Gen.choose (0, 3) |> Gen.bind (fun n -> Gen.listOfLength n gen)

let private binaryOps =
    [ Add; Subtract; Multiply; Divide; Power; Less; LessEqual; Greater; GreaterEqual; Equal; NotEqual; And; Or ]

let rec private exprOf size : Gen<Expr> =
    let leaf =
        Gen.frequency
            [ 4, Gen.map Name name
              3, Gen.map Number number
              2, Gen.map Text text
              1, Gen.elements [ Bool true; Bool false ]
              1, Gen.map FSharp text ]
    if size <= 0 then
        Gen.map node leaf
    else
        let sub = exprOf (size / 2)
        let args =
            Gen.map2
                (fun (positional: Expr list) named ->
                    [ for value in positional -> { Name = None; Value = value }: Arg ]
                    @ [ for n, value in List.distinctBy fst named -> { Name = Some(ident n); Value = value } ])
                (few sub)
                (few (Gen.zip name sub))
        let memberName = Gen.oneof [ name; text; Gen.elements [ "print"; "odd name"; "1"; "" ] ]
        let key =
            Gen.oneof
                [ Gen.elements [ "a"; "b"; "τ"; "print"; "by" ] |> Gen.map (ident >> Key)
                  Gen.map (ident >> Glob) text
                  Gen.constant (Else Span.None) ]
        let keyText key =
            match key with
            | Key name
            | Glob name -> name.Text
            | Else _ -> "else"
        Gen.frequency
            [ 1, leaf
              8, Gen.map3 (fun op a b -> Binary(op, a, b)) (Gen.elements binaryOps) sub sub
              4, Gen.map2 (fun op e -> Unary(op, e)) (Gen.elements [ Negate; Not ]) sub
              2, Gen.map3 (fun a b step -> Range(a, b, step)) sub sub (Gen.optionOf sub)
              2, Gen.map2 (fun e n -> Member(e, ident n)) sub memberName
              2, Gen.map2 (fun e w -> Index(e, w)) sub sub
              2, Gen.map2 (fun f a -> Call(ident f, a)) name args
              4,
              Gen.map3
                  (fun kind e (f, a) -> Pipe(kind, e, ident f, a))
                  (Gen.elements [ Tight; Loose ])
                  sub
                  (Gen.zip name args)
              1, Gen.map List (few sub)
              1, Gen.map2 (fun bindings e -> Block([ for n, b in bindings -> ident n, b ], e)) (few (Gen.zip name sub)) sub
              1, Gen.map (List.distinctBy (fst >> keyText) >> Record) (few (Gen.zip key sub)) ]
        |> Gen.map node

let private expressions = Gen.sized (fun size -> exprOf (min size 40))

let private statementsOf: Gen<Statement> =
    let e = Gen.resize 10 expressions
    let parameters =
        Gen.map2
            (fun required optional ->
                let all =
                    [ for n, t in required -> { Name = ident n; Type = Option.map ident t; Default = None }: Param ]
                    @ [ for n, d in optional -> { Name = ident n; Type = None; Default = Some d } ]
                all |> List.distinctBy _.Name.Text)
            (few (Gen.zip name (Gen.optionOf (Gen.elements [ "Delta"; "Scalar" ]))))
            (few (Gen.zip name e))
    let doc = Gen.elements [ ""; "One line."; "Two\n\n  lines."; "# mark" ]
    let definition =
        Gen.map3
            (fun (n, ps) (result, doc) body ->
                Def { Name = ident n; Params = ps; Result = Option.map ident result; Body = body; Doc = doc })
            (Gen.zip name parameters)
            (Gen.zip (Gen.optionOf (Gen.constant "Delta")) doc)
            e
    Gen.oneof
        [ Gen.map2 (fun n e -> Let(ident n, e)) name e
          Gen.map2 (fun n e -> Param(ident n, e)) name e
          Gen.map2 (fun e m -> Assert(e, m)) e (Gen.optionOf e)
          Gen.map Print (few e)
          Gen.map (ident >> Include) text
          Gen.map Expression e
          Gen.constant (FSharpDefinitions(ident "let x = \"1\"\nlet y = 2 "))
          definition ]
    |> Gen.map (fun s -> { Node = s; Span = Span.None }: Statement)

let private config = Config.QuickThrowOnFailure.WithMaxTest(2000).WithReplay(20250101UL, 7UL)

/// A tree that a failure shows as its text.
type private Shown<'a>(tree: 'a, text: string) =
    member _.Tree = tree
    override _.ToString() = text

let private check (gen: Gen<'a>) (print: 'a -> string) (property: 'a -> bool) =
    let shown = gen |> Gen.map (fun tree -> Shown(tree, print tree))
    Check.One(config, Prop.forAll (Arb.fromGen shown) (fun (s: Shown<'a>) -> property s.Tree))

[<Fact>]
let ``parse of print is the tree`` () =
    check expressions Printer.expression (fun e ->
        let text = Printer.expression e
        match parse text with
        | [ { Node = Expression read } ], [] when strip read = strip e -> true
        | read, found -> failwith $"{text}\n{found}\n{Printer.script read}")

[<Fact>]
let ``parse of a printed script is the script`` () =
    check (few statementsOf) Printer.script (fun script ->
        let text = Printer.script script
        match parse text with
        | read, [] when List.map stripStatement read = List.map stripStatement script -> true
        | read, found -> failwith $"{text}\n{found}\n{Printer.script read}")

/// A pair of brackets is needed if the text without it has another tree. Checked on trees of operators and names, where
/// every `(` is a group's.
[<Fact>]
let ``no brackets without need`` () =
    let rec operators size : Gen<Expr> =
        if size = 0 then
            Gen.map (Name >> node) (Gen.elements [ "a"; "b" ])
        else
            let sub = operators (size - 1)
            Gen.oneof
                [ operators 0
                  Gen.map3 (fun op a b -> node (Binary(op, a, b))) (Gen.elements binaryOps) sub sub
                  Gen.map (fun e -> node (Unary(Negate, e))) sub
                  Gen.map2 (fun a b -> node (Range(a, b, None))) sub sub
                  Gen.map2 (fun kind e -> node (Pipe(kind, e, ident "f", []))) (Gen.elements [ Tight; Loose ]) sub
                  Gen.map (fun e -> node (Member(e, ident "m"))) sub ]
    check (operators 3) Printer.expression (fun e ->
        let text = Printer.expression e
        for i in 0 .. text.Length - 1 do
            if text[i] = '(' then
                let mutable depth = 1
                let mutable j = i
                while depth > 0 do
                    j <- j + 1
                    if text[j] = '(' then depth <- depth + 1
                    elif text[j] = ')' then depth <- depth - 1
                match parse (text.Remove(j, 1).Remove(i, 1)) with
                | [ { Node = Expression read } ], [] when strip read = strip e -> failwith $"needless brackets: {text}"
                | _ -> ()
        true)

[<Theory>]
[<InlineData("0.5*B@basis(8)", "0.5 * B @basis(8)")>]
[<InlineData("((a))+(b*c)", "a + b * c")>]
[<InlineData("(a+b)*c-(d-e)", "(a + b) * c - (d - e)")>]
[<InlineData("(a^b)^c^(d)", "(a ^ b) ^ c ^ d")>]
[<InlineData("-(x^2)+(-x)^2", "-x ^ 2 + (-x) ^ 2")>]
[<InlineData("-(-x)", "--x")>]
[<InlineData("not(a==b)", "not (a == b)")>]
[<InlineData("(not a)==b", "(not a) == b")>]
[<InlineData("(a+b)@f()", "(a + b) @f")>]
[<InlineData("a+b|>f(k=1)", "a + b |> f(k = 1)")>]
[<InlineData("f((a|>g))", "f(a |> g)")>]
[<InlineData("(0..1 by 0.1)[0]", "(0..1 by 0.1)[0]")>]
[<InlineData("x.\"name\".\"odd name\".\"not\"", "x.name.\"odd name\".\"not\"")>]
[<InlineData("1E-7+10000000000000000000000", "1e-07 + 1e+22")>]
[<InlineData("{a:1\n\"b\":2}", "{ a: 1, \"b\": 2 }")>]
[<InlineData("{a=1\nb=2\na}", "{ a = 1; b = 2; a }")>]
[<InlineData("\"\"\"a\n\"b\" \"\"\"", "\"a\\n\\\"b\\\" \"")>]
let ``canonical text`` (text: string, expected: string) =
    let parsed, _ = parse text
    Assert.Equal(expected + "\n", Printer.script parsed)

[<Fact>]
let ``a definition prints with its documentation`` () =
    let text = "## One.\n##\n##   Two.\ndef f(x: Delta, k = 0.1): Delta = k * x\n"
    Assert.Equal(text, Printer.script (statements text))

[<Fact>]
let ``negative numbers in made trees are bracketed like a prefix`` () =
    let e = node (Binary(Power, node (Number -2.0), node (Number -1.0)))
    Assert.Equal("(-2) ^ -1", Printer.expression e)
