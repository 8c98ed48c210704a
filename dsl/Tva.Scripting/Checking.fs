/// The compiler's checker over the pieces so far and one function: from texts to typed trees. Runs nothing.
module internal Tva.Scripting.Checking

open System
open System.Collections.Generic
open System.IO
open FSharp.Compiler.CodeAnalysis
open FSharp.Compiler.Diagnostics
open FSharp.Compiler.Symbols
open FSharp.Compiler.Text

/// One for the process: it is safe for concurrent use, and what it knows of the references stays.
let private checker = lazy FSharpChecker.Create(keepAssemblyContents = true, projectCacheSize = 1)

[<Literal>]
let private FileName = "/tva/script.fs"

/// The runtime's own assemblies serve as references, so that no SDK is needed.
let private references =
    lazy
        (let folder = Path.GetDirectoryName typeof<obj>.Assembly.Location |> Option.ofObj |> Option.defaultValue "."
         let isManaged (file: string) =
             let name = Path.GetFileName file |> Unchecked.nonNull
             (name.StartsWith "System." && not (name.Contains ".Native")) || List.contains name [ "netstandard.dll"; "mscorlib.dll" ]
         [| yield! Directory.GetFiles(folder, "*.dll") |> Array.filter isManaged |> Array.map (fun f -> "-r:" + f)
            "-r:" + typeof<list<int>>.Assembly.Location |])

let private options =
    lazy
        { ProjectFileName = "/tva/script.fsproj"
          ProjectId = None
          SourceFiles = [| FileName |]
          OtherOptions = Array.append [| "--noframework"; "--targetprofile:netcore"; "--simpleresolution"; "--nologo" |] references.Value
          ReferencedProjects = [||]
          IsIncompleteTypeCheckEnvironment = false
          UseScriptResolutionRules = false
          LoadTime = DateTime(2000, 1, 1)
          UnresolvedReferences = None
          OriginalLoadReferences = []
          Stamp = None }

type Definition = FSharpMemberOrFunctionOrValue list list * FSharpExpr

/// What a text defines, by name; the last value of the text stands apart.
type Checked =
    { Diagnostics: FSharpDiagnostic list
      Definitions: Dictionary<FSharpMemberOrFunctionOrValue, Definition>
      Last: (FSharpMemberOrFunctionOrValue * Definition) option }

let check (text: string) : Checked =
    let _, answer =
        checker.Value.ParseAndCheckFileInProject(FileName, text.GetHashCode(), SourceText.ofString text, options.Value) |> Async.RunSynchronously
    let definitions = Dictionary<FSharpMemberOrFunctionOrValue, Definition>(HashIdentity.Structural)
    let mutable last = None
    let rec take (declarations: FSharpImplementationFileDeclaration list) =
        for d in declarations do
            match d with
            | FSharpImplementationFileDeclaration.Entity(_, inner) -> take inner
            | FSharpImplementationFileDeclaration.MemberOrFunctionOrValue(v, parameters, body) ->
                definitions[v] <- (parameters, body)
                last <- Some(v, (parameters, body))
            | FSharpImplementationFileDeclaration.InitAction _ -> ()
    match answer with
    | FSharpCheckFileAnswer.Succeeded r ->
        r.ImplementationFile |> Option.iter (fun f -> take f.Declarations)
        { Diagnostics = List.ofArray r.Diagnostics; Definitions = definitions; Last = last }
    | FSharpCheckFileAnswer.Aborted -> raise (OperationCanceledException "the F# checker was stopped")
