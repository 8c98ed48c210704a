module Tva.Tests.ArgumentTests

open Tva
open Tva.Arguments
open Xunit

let private parsed (words: string) =
    match parse (words.Split ' ') with
    | Ok r -> r
    | Result.Error message -> failwith message

let private refused (words: string list) =
    match parse (Array.ofList words) with
    | Ok r -> failwith $"%A{r}"
    | Result.Error message -> message

[<Theory>]
[<InlineData("--json run a.tva")>]
[<InlineData("run --json a.tva")>]
[<InlineData("run a.tva --json")>]
[<InlineData("a.tva --json")>]
let ``options stand anywhere`` (words: string) =
    let r = parsed words
    Assert.Equal(Task.Run "a.tva", r.Task)
    Assert.True r.Json

[<Fact>]
let ``all options are read`` () =
    let r = parsed "run x.tva --allow-run --allow-fsharp --set a=1 --set=b=c=d --threads 3 --memory=2GiB --strict --dry-run --device cpu"
    Assert.True(r.Permissions.Run && r.Permissions.FSharp && r.Strict && r.DryRun)
    Assert.Equal<(string * string) list>([ "a", "1"; "b", "c=d" ], Map.toList r.Settings)
    Assert.Equal(Some 3, r.Threads)
    Assert.Equal(Some(2L <<< 30), r.Memory)

[<Theory>]
[<InlineData("run a.tva")>]
[<InlineData("eval 1+1")>]
[<InlineData("eval one two")>]
[<InlineData("a.tva")>]
[<InlineData("ops ties")>]
[<InlineData("ops a b")>]
[<InlineData("evl 1")>]
[<InlineData("lsp now")>]
[<InlineData("help")>]
let ``words without options mean what the parser of options makes of them`` (words: string) =
    let words = words.Split ' '
    // Two dashes before nothing are an option that says nothing.
    Assert.Equal(parse (Array.append words [| "--" |]), parse words)

[<Fact>]
let ``nothing is allowed unless it is said`` () =
    let r = parsed "run x.tva"
    Assert.False(r.Permissions.Run || r.Permissions.FSharp || r.Strict || r.DryRun || r.Json)

[<Theory>]
[<InlineData("500MB", 500_000_000L)>]
[<InlineData("128MiB", 134_217_728L)>]
[<InlineData("1.5g", 1_610_612_736L)>]
[<InlineData("65536", 65536L)>]
[<InlineData("64 KiB", 65536L)>]
let ``sizes`` (text: string, bytes: int64) = Assert.Equal(bytes, size text)

[<Theory>]
[<InlineData("eval", "-1 + 2")>]
[<InlineData("eval", "-x")>]
[<InlineData("eval", "--1")>]
[<InlineData("eval", "-e")>]
let ``a text may begin with a minus`` (command: string, text: string) =
    match parse [| command; text |] with
    | Ok r -> Assert.Equal(Task.Eval text, r.Task)
    | Result.Error message -> failwith message

[<Fact>]
let ``what follows two dashes is taken as it is`` () =
    match parse [| "run"; "--strict"; "--"; "--json" |] with
    | Ok r ->
        Assert.Equal(Task.Run "--json", r.Task)
        Assert.True(r.Strict && not r.Json)
    | Result.Error message -> failwith message

[<Theory>]
[<InlineData("run a.tva --strct", "did you mean --strict?")>]
[<InlineData("run a.tva --alow-run", "did you mean --allow-run?")>]
[<InlineData("rum a.tva", "did you mean run?")>]
[<InlineData("frobnicate", "the commands are run, eval")>]
[<InlineData("run", "tva run needs a script: a file, or - for the standard input")>]
[<InlineData("run a.tva b.tva", "b.tva is another")>]
[<InlineData("eval 1 + 1", "in quotes")>]
[<InlineData("run a.tva --threads", "--threads")>]
[<InlineData("run a.tva --threads none", "not a number from 1 to")>]
[<InlineData("run a.tva --threads 0", "not a number from 1 to")>]
[<InlineData("run a.tva --memory much", "500MB, 128MiB or 2GiB")>]
[<InlineData("run a.tva --memory 0", "500MB, 128MiB or 2GiB")>]
[<InlineData("run a.tva --memory 5", "--memory 5: too little, the least is 64 KiB; write for instance 500MB")>]
[<InlineData("run a.tva --device-memory 65535", "--device-memory 65535: too little")>]
[<InlineData("run a.tva --set lambda", "NAME=VALUE")>]
[<InlineData("run a.tva --device=", "--device: a value is missing")>]
[<InlineData("run a.tva --device-memory much", "--device-memory much: not a size")>]
[<InlineData("device gpu", "--device gpu computes there")>]
[<InlineData("run a.tva --norms", "an option of tva inspect")>]
[<InlineData("run a.tva -q", "there is no option -q")>]
let ``what is wrong is said with a way out`` (words: string, part: string) =
    Assert.Contains(part, refused (List.ofArray (words.Split ' ')))

[<Fact>]
let ``help names every command and option`` () =
    let ran = Command.run [ "--help" ]
    Assert.Equal(0, ran.Status)
    for word in [ "run SCRIPT"; "eval TEXT"; "check"; "plan"; "inspect"; "ops"; "--allow-run"; "--set NAME=VALUE"; "--device"; "--memory"; "--threads"; "--strict"; "--dry-run"; "--json"; "--version" ] do
        Assert.Contains(word, ran.Out)

[<Fact>]
let ``version`` () =
    let ran = Command.run [ "--version" ]
    Assert.Equal(0, ran.Status)
    Assert.Matches(@"^tva \d+\.\d+\.\d+\n$", ran.Out)

[<Fact>]
let ``no words print the help to stderr`` () =
    let ran = Command.run []
    Assert.Equal(2, ran.Status)
    Assert.Equal("", ran.Out)
    Assert.Contains("usage: tva", ran.Error)

[<Fact>]
let ``wrong words print one line`` () =
    let ran = Command.run [ "rum"; "x.tva" ]
    Assert.Equal(2, ran.Status)
    Assert.Equal("tva: there is no command rum; did you mean run?\n", ran.Error)
