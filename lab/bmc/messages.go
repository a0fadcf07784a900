package bmc

import (
	"fmt"
	"net/http"
	"strings"
)

// Message is one entry of a Redfish error, and the status that goes with it.
type Message struct {
	Status int

	// ID is the message's key. Without a dot it is one of the DMTF Base
	// registry, whose version the Manners give.
	ID         string
	Text       string
	Args       []string
	Related    []string // JSON pointers to the properties concerned
	Resolution string
}

// Cause is why a BMC refuses a request that is well formed. Vendors differ in
// what they answer to each: see Manners.Says.
type Cause string

const (
	BadCredentials   Cause = "bad credentials"
	SessionLimit     Cause = "session limit"
	MediaInserted    Cause = "media already inserted"
	MediaSettling    Cause = "media still being ejected"
	MediaUnreachable Cause = "media cannot be fetched"
	MediaNotISO      Cause = "media is not an ISO 9660 image"
	MediaEmpty       Cause = "nothing to eject"
	SlotUnusable     Cause = "slot takes no media"
	PowerUnchanged   Cause = "power is already so"
	PowerSettling    Cause = "power is still changing"
	PowerIsOff       Cause = "cannot restart a server that is off"
	DuringPOST       Cause = "server is in POST"
	BootElsewhere    Cause = "boot settings are at another resource"

	AttributeUnknown  Cause = "there is no such attribute" // {name} of the text is its name, as in the next two
	AttributeReadOnly Cause = "the attribute is read-only"
	AttributeValue    Cause = "the attribute does not take the value"
	SettingsCommitted Cause = "what waits is committed to a job"
	NothingWaits      Cause = "nothing waits that a job could do"
	NoKeys            Cause = "Secure Boot has no keys"
	DriveInUse        Cause = "a drive is part of a volume"
	TooFewDrives      Cause = "the RAID type takes more drives"
	TaskFailed        Cause = "a task failed"
	// ResetRequired is success that waits for a start: without a message of the vendor's,
	// success as always.
	ResetRequired Cause = "a change waits for the next start"
)

// standard is what a BMC by the book answers; Manners.Says overrides it.
// A 204 means that the request is taken as done.
var standard = map[Cause]Message{
	BadCredentials:    {Status: 401, ID: "NoValidSession", Text: "There is no valid session established with the implementation.", Resolution: "Establish a session before attempting any operations."},
	SessionLimit:      {Status: 503, ID: "SessionLimitExceeded", Text: "The session establishment failed due to the number of simultaneous sessions exceeding the limit of the implementation.", Resolution: "Reduce the number of other sessions before trying to establish the session."},
	MediaInserted:     {Status: 409, ID: "ResourceInUse", Text: "The change to the requested resource failed because the resource is in use or in transition.", Resolution: "Eject the media and resubmit the request."},
	MediaSettling:     {Status: 503, ID: "ServiceTemporarilyUnavailable", Text: "The service is temporarily unavailable. Retry in 3 seconds.", Args: []string{"3"}, Resolution: "Wait for the indicated retry duration and retry the operation."},
	MediaUnreachable:  {Status: 400, ID: "CouldNotEstablishConnection", Text: "The service failed to establish a connection with the image.", Resolution: "Ensure that the URI contains a valid and reachable node name, protocol information and other URI components."},
	MediaNotISO:       {Status: 400, ID: "ActionParameterValueError", Text: "The value for the parameter Image in the action VirtualMedia.InsertMedia is invalid: it is not an ISO 9660 image.", Args: []string{"Image", "VirtualMedia.InsertMedia"}, Resolution: "Correct the value for the parameter in the request body and resubmit the request."},
	MediaEmpty:        {Status: 204},
	SlotUnusable:      {Status: 400, ID: "ActionNotSupported", Text: "The action VirtualMedia.InsertMedia is not supported by the resource.", Args: []string{"VirtualMedia.InsertMedia"}, Resolution: "Choose another slot."},
	PowerUnchanged:    {Status: 204},
	PowerSettling:     {Status: 409, ID: "ResourceInUse", Text: "The change to the requested resource failed because the resource is in use or in transition.", Resolution: "Remove the condition and resubmit the request if the operation failed."},
	PowerIsOff:        {Status: 409, ID: "ResourceInStandby", Text: "The request could not be performed because the resource is in standby.", Resolution: "Ensure that the resource is in the correct power state and resubmit the request."},
	DuringPOST:        {Status: 503, ID: "ServiceTemporarilyUnavailable", Text: "The service is temporarily unavailable. Retry in 3 seconds.", Args: []string{"3"}, Resolution: "Wait for the indicated retry duration and retry the operation."},
	AttributeUnknown:  {Status: 400, ID: "PropertyUnknown", Text: "The property {name} is not in the list of valid properties for the resource.", Resolution: resubmit},
	AttributeReadOnly: {Status: 400, ID: "PropertyNotWritable", Text: "The property {name} is a read-only property and cannot be assigned a value.", Resolution: resubmit},
	AttributeValue:    {Status: 400, ID: "PropertyValueNotInList", Text: "The value of the property {name} is not in the list of acceptable values.", Resolution: resubmit},
	SettingsCommitted: {Status: 400, ID: "ResourceInUse", Text: "The change to the requested resource failed because the resource is in use or in transition.", Resolution: "Wait for the job."},
	NothingWaits:      {Status: 400, ID: "NoOperation", Text: "The request body submitted contains no data to act upon.", Resolution: resubmit},
	NoKeys:            {Status: 400, ID: "PropertyValueConflict", Text: "The property SecureBootEnable conflicts with the value of SecureBootMode.", Args: []string{"SecureBootEnable", "SecureBootMode"}, Resolution: "Enroll keys."},
	DriveInUse:        {Status: 400, ID: "ResourceInUse", Text: "The change to the requested resource failed because the resource is in use or in transition.", Resolution: "Delete the volume first."},
	TooFewDrives:      {Status: 400, ID: "PropertyValueConflict", Text: "The property RAIDType conflicts with the number of Drives.", Args: []string{"RAIDType", "Drives"}, Resolution: "Choose more drives."},
	TaskFailed:        {ID: "OperationFailed", Text: "An error occurred internal to the service as part of the overall request. Partial results may have been returned.", Resolution: "Resubmit the request."},
	BootElsewhere:     {Status: 400, ID: "PropertyNotWritable", Text: "The property Boot is a read-only property and cannot be assigned a value.", Args: []string{"Boot"}, Related: []string{"#/Boot"}, Resolution: "Remove the property from the request body and resubmit the request if the operation failed."},
}

const resubmit = "Correct the request body and resubmit the request if it failed."

func propertyMessage(id, property, text string, args ...string) Message {
	return Message{
		Status: http.StatusBadRequest, ID: id, Text: fmt.Sprintf(text, append([]any{property}, anys(args)...)...),
		Args: append([]string{property}, args...), Related: []string{"#/" + strings.ReplaceAll(property, ".", "/")}, Resolution: resubmit,
	}
}

func anys(s []string) []any {
	a := make([]any, len(s))
	for i, v := range s {
		a[i] = v
	}
	return a
}

func propertyUnknown(p string) Message {
	return propertyMessage("PropertyUnknown", p, "The property %s is not in the list of valid properties for the resource.")
}

func propertyReadOnly(p string) Message {
	return propertyMessage("PropertyNotWritable", p, "The property %s is a read-only property and cannot be assigned a value.")
}

func propertyMissing(p string) Message {
	return propertyMessage("PropertyMissing", p, "The property %s is a required property and must be included in the request.")
}

func propertyType(p, value string) Message {
	return propertyMessage("PropertyValueTypeError", p, "The value of property %s is of a different type than the property can accept: %s.", value)
}

func propertyNotInList(p, value string) Message {
	return propertyMessage("PropertyValueNotInList", p, "The value of property %s is not in the list of acceptable values: '%s'.", value)
}

func parameterUnknown(p, action string) Message {
	return propertyMessage("ActionParameterUnknown", p, "The parameter %s for the action %s is not in the list of valid parameters.", action)
}

func parameterMissing(p, action string) Message {
	return propertyMessage("ActionParameterMissing", p, "The parameter %s that the action %s requires is missing from the request body.", action)
}

func malformed() Message {
	return Message{Status: http.StatusBadRequest, ID: "MalformedJSON", Text: "The request body submitted was malformed JSON and could not be parsed by the receiving service.", Resolution: "Ensure that the request body is valid JSON and resubmit the request."}
}

func notFound(path string) Message {
	return Message{Status: http.StatusNotFound, ID: "ResourceMissingAtURI", Text: "The resource at the URI " + path + " was not found.", Args: []string{path}, Resolution: "Place a valid resource at the URI or correct the URI and resubmit the request."}
}

func notAllowed(method, path string) Message {
	return Message{Status: http.StatusMethodNotAllowed, ID: "OperationNotAllowed", Text: "The HTTP method " + method + " is not allowed on " + path + ".", Resolution: "Correct the method or the URI and resubmit the request."}
}

func queryUnsupported(parameter string) Message {
	return Message{Status: http.StatusNotImplemented, ID: "QueryParameterUnsupported", Text: "Query parameter " + parameter + " is not supported by this service.", Args: []string{parameter}, Resolution: "Remove the query parameter and resubmit the request."}
}

func preconditionFailed() Message {
	return Message{Status: http.StatusPreconditionFailed, ID: "PreconditionFailed", Text: "The ETag supplied did not match the ETag required to change this resource.", Resolution: "Try the operation again using the appropriate ETag."}
}

func preconditionRequired() Message {
	return Message{Status: http.StatusPreconditionRequired, ID: "PreconditionRequired", Text: "A precondition header or annotation is required to change this resource.", Resolution: "Try the operation again using an If-Match header with the ETag of the resource."}
}

func internalError() Message {
	return Message{Status: http.StatusInternalServerError, ID: "InternalError", Text: "The request failed due to an internal service error. The service is still operational.", Resolution: "Resubmit the request. If the problem persists, consider resetting the service."}
}
