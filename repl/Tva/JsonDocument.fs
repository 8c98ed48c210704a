/// From what a command reports, object by object, to one JSON document with how it ended.
namespace Tva

/// Where in the document an object goes.
[<RequireQualifiedAccess>]
type JsonPart =
    | Diagnostic
    | Result
    | File
    | Message
    | Failure
    /// That passes begin and end is for whoever reads along.
    | Course

type JsonDocument() =
    let parts = ResizeArray<struct (JsonPart * string)>()

    /// Takes the text of an object, or of a list of them.
    member _.Add(part: JsonPart, json: string) = parts.Add(struct (part, json))

    member _.Text(status: int) : string =
        let texts part = [ for struct (p, json) in parts do if p = part then json ]
        Json.line (fun json ->
            let list (name: string) part =
                json.WriteStartArray name
                for text in texts part do
                    json.WriteRawValue(text, true)
                json.WriteEndArray()
            json.WriteNumber("status", status)
            list "results" JsonPart.Result
            list "files" JsonPart.File
            list "diagnostics" JsonPart.Diagnostic
            list "messages" JsonPart.Message
            json.WritePropertyName "failure"
            match texts JsonPart.Failure with
            | failure :: _ -> json.WriteRawValue(failure, true)
            | [] -> json.WriteNullValue())
